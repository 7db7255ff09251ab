use super::*;

fn parse(text: &str) -> Quantity {
    Quantity::parse(text).unwrap_or_else(|| panic!("{text} is a quantity"))
}

/// What Go's `resource.ParseQuantity` and `String` make of some 700 spellings; `!` where it refuses.
#[test]
fn every_spelling_prints_as_go_prints_it() {
    let golden = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/golden/quantities.tsv"
    ));
    let mut wrong = Vec::new();
    for line in golden.lines() {
        let (text, printed) = line.split_once('\t').unwrap();
        let ours = Quantity::parse(text).map_or_else(|| "!".to_owned(), |quantity| quantity.canonical());
        if ours != printed {
            wrong.push(format!("{text:?}: Go prints {printed}, we print {ours}"));
        }
    }
    assert!(golden.lines().count() > 600);
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn worked_examples() {
    for (text, printed) in [
        ("0.001", "1m"),
        ("1e3", "1e3"),
        ("1e1", "10"),
        ("1.5Gi", "1536Mi"),
        ("1000m", "1"),
        ("0", "0"),
        ("100000u", "100m"),
        ("-1500m", "-1500m"),
        ("0.5Ki", "512"),
        ("1.5", "1500m"),
        ("1.500", "1.500"),
        ("+5", "+5"),
        (" 1 ", "1"),
        ("0.0000000001", "1n"),
        ("8Ei", "9223372036854775807"),
        ("1000E", "1"),
        ("1e-2147483000", "1e-9"),
        ("m", "0"),
    ] {
        assert_eq!(canonical(text), printed, "{text}");
    }
}

#[test]
fn what_is_no_quantity_stays_as_it_is() {
    for text in [
        "",
        "much",
        "1 Mi",
        "1.2.3",
        "1e",
        "1K",
        "Ei",
        "١",
        "😀",
        "1e99999999999999999999",
    ] {
        assert!(Quantity::parse(text).is_none(), "{text}");
        assert_eq!(canonical(text), text);
    }
}

#[test]
fn amounts_are_equal_whatever_their_spelling() {
    for (one, other) in [
        ("1", "1000m"),
        ("1Ki", "1024"),
        ("1e3", "1k"),
        ("0", "0Gi"),
        ("1.500", "1.5"),
        ("-0", "0"),
    ] {
        assert!(parse(one).same_value(&parse(other)), "{one} {other}");
    }
    for (one, other) in [("1", "-1"), ("1", "10"), ("1Ki", "1k"), ("1", "1.000000001")] {
        assert!(!parse(one).same_value(&parse(other)), "{one} {other}");
    }
}

#[test]
fn resources_round_up_to_thousandths() {
    for (text, rounded) in [
        ("0.1m", "1m"),
        ("1.0001", "1001m"),
        ("-0.1m", "-1m"),
        ("0.9999", "1"),
        ("2", "2"),
        ("9.9999", "10"),
    ] {
        assert_eq!(parse(text).rounded_to_milli().canonical(), rounded, "{text}");
    }
}
