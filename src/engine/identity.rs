//! The identity of a revision: the pod template hash, the step hash, and equality of templates by meaning.
