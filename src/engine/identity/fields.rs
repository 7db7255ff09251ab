//! The table of Go types: which fields a struct has, in which order, and when Go leaves one out.
//!
//! A table is text: a line at the margin names a struct, each indented line under it a field, its type and the
//! options of its tag (`omitempty`, `omitzero`). The first struct is the root. Embedded structs are flattened where
//! they stand. The tables of the pod template are generated (`tests/tools/gotypes`), those of the steps are written
//! by hand in the order of the contract's Go types.

use std::collections::HashMap;
use std::sync::OnceLock;

/// A Go type, as far as its JSON goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    String,
    Bool,
    Int,
    Quantity,
    IntOrString,
    /// RFC 3339; its zero value prints as `null`.
    Time,
    /// JSON that is passed on as it is.
    Raw,
    /// A struct by its place in the table.
    Struct(usize),
    Pointer(Box<Kind>),
    List(Box<Kind>),
    Map(Box<Kind>),
}

/// One field of a Go struct.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Left out when false, 0, "", nil, or a list or map without elements. Means nothing for a struct.
    pub(super) omit_empty: bool,
    /// Left out when it is the zero value of its type; only times use it.
    pub(super) omit_zero: bool,
}

/// The types that are reachable from one root.
#[derive(Debug)]
pub(super) struct Table {
    structs: Vec<Vec<Field>>,
    pub(super) root: Kind,
}

impl Table {
    /// `PodTemplateSpec` of Kubernetes 0.36. What controllers since 1.9 link (0.34) differs only by fewer fields.
    pub(super) fn pod_template() -> &'static Self {
        static TABLE: OnceLock<Table> = OnceLock::new();
        TABLE.get_or_init(|| Self::parse(include_str!("pod_template.fields"), |root| root))
    }

    /// `PodTemplateSpec` of Kubernetes 0.29, which controllers of 1.8 link.
    pub(super) fn pod_template_1_8() -> &'static Self {
        static TABLE: OnceLock<Table> = OnceLock::new();
        TABLE.get_or_init(|| Self::parse(include_str!("pod_template_1_8.fields"), |root| root))
    }

    /// `[]CanaryStep` of 1.9 and 1.10.
    pub(super) fn canary_steps() -> &'static Self {
        static TABLE: OnceLock<Table> = OnceLock::new();
        TABLE.get_or_init(|| {
            Self::parse(include_str!("canary_steps.fields"), |step| {
                Kind::List(Box::new(step))
            })
        })
    }

    /// `[]CanaryStep` of 1.8.
    pub(super) fn canary_steps_1_8() -> &'static Self {
        static TABLE: OnceLock<Table> = OnceLock::new();
        TABLE.get_or_init(|| {
            Self::parse(include_str!("canary_steps_1_8.fields"), |step| {
                Kind::List(Box::new(step))
            })
        })
    }

    /// The fields of the struct with this number.
    pub(super) fn fields(&self, number: usize) -> &[Field] {
        self.structs.get(number).map_or(&[], Vec::as_slice)
    }

    fn parse(text: &'static str, root: impl FnOnce(Kind) -> Kind) -> Self {
        let lines = || {
            text.lines()
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
        };
        let numbers: HashMap<&str, usize> = lines()
            .filter(|line| !line.starts_with(' '))
            .enumerate()
            .map(|(number, name)| (name, number))
            .collect();
        let mut structs: Vec<Vec<Field>> = Vec::with_capacity(numbers.len());
        for line in lines() {
            if !line.starts_with(' ') {
                structs.push(Vec::new());
            } else if let Some(fields) = structs.last_mut() {
                let mut words = line.split_whitespace();
                let (name, kind) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
                let options: Vec<&str> = words.collect();
                fields.push(Field {
                    name,
                    kind: parse_kind(kind, &numbers),
                    omit_empty: options.contains(&"omitempty"),
                    omit_zero: options.contains(&"omitzero"),
                });
            }
        }
        Self {
            structs,
            root: root(Kind::Struct(0)),
        }
    }
}

/// A name that the table does not explain becomes raw JSON; a test holds every table to explaining all its names.
fn parse_kind(text: &str, numbers: &HashMap<&str, usize>) -> Kind {
    let inner = |rest| Box::new(parse_kind(rest, numbers));
    if let Some(rest) = text.strip_prefix('*') {
        return Kind::Pointer(inner(rest));
    }
    if let Some(rest) = text.strip_prefix("[]") {
        return Kind::List(inner(rest));
    }
    if let Some(rest) = text.strip_prefix("map:") {
        return Kind::Map(inner(rest));
    }
    match text {
        "string" => Kind::String,
        "bool" => Kind::Bool,
        "int32" | "int64" => Kind::Int,
        "quantity" => Kind::Quantity,
        "intorstring" => Kind::IntOrString,
        "time" => Kind::Time,
        name => numbers
            .get(name)
            .map_or(Kind::Raw, |number| Kind::Struct(*number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> impl Iterator<Item = &str> {
        text.lines()
            .filter(|line| line.starts_with(' '))
            .filter_map(|line| line.split_whitespace().nth(1))
    }

    #[test]
    fn every_table_explains_its_types_and_options() {
        for (text, structs) in [
            (include_str!("pod_template.fields"), 90),
            (include_str!("pod_template_1_8.fields"), 80),
            (include_str!("canary_steps.fields"), 20),
            (include_str!("canary_steps_1_8.fields"), 20),
        ] {
            let table = Table::parse(text, |root| root);
            assert!(table.structs.len() >= structs, "{}", table.structs.len());
            for (name, field) in names(text).zip(table.structs.iter().flatten()) {
                let mut kind = &field.kind;
                while let Kind::Pointer(inner) | Kind::List(inner) | Kind::Map(inner) = kind {
                    kind = inner;
                }
                assert_eq!(*kind == Kind::Raw, name.ends_with("raw"), "{} {name}", field.name);
            }
            for line in text.lines().filter(|line| line.starts_with(' ')) {
                for option in line.split_whitespace().skip(2) {
                    assert!(["omitempty", "omitzero"].contains(&option), "{line}");
                }
            }
        }
    }

    #[test]
    fn no_struct_is_named_twice() {
        for text in [
            include_str!("pod_template.fields"),
            include_str!("canary_steps.fields"),
        ] {
            let mut names: Vec<&str> = text
                .lines()
                .filter(|line| !line.starts_with([' ', '#']))
                .collect();
            names.sort_unstable();
            assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
        }
    }
}
