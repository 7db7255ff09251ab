use super::*;

#[test]
fn placeholder() {
    for c in crds() {
        println!("{}", serde_saphyr::to_string(&c).unwrap());
    }
}
