//! What holds for every text and every result.

use proptest::prelude::*;

use super::now;
use crate::metric::condition::{Condition, Key, Value, eval_time, judge};

fn numbers() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        Just(f64::NAN),
        Just(f64::INFINITY),
        (-5..5_i32).prop_map(f64::from)
    ]
}

/// Results of every shape that a provider may return.
fn results() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        numbers().prop_map(Value::Float),
        "[a-c0-9.é]{0,6}".prop_map(Value::String),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(numbers(), 0..5).prop_map(Value::floats),
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::List),
            prop::collection::btree_map("[a-d]".prop_map(Key::String), inner, 0..4).prop_map(Value::Map),
        ]
    })
}

/// Values, and names that stand for one.
const OPERANDS: &[&str] = &[
    "result",
    "result[0]",
    "result.a",
    "#",
    "#acc",
    "#index",
    ".a",
    "x",
    "nil",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "2.5",
    "1e308",
    "9223372036854775807",
    "0x10",
    "\"a\"",
    "\"é\"",
    "\"\"",
    "'1'",
    "`b`",
    "b\"x\"",
    "[1,2]",
    "[]",
    "{a:1}",
    "{}",
];

/// What stands between two operands, or before one.
const OPERATORS: &[&str] = &[
    "+",
    "-",
    "*",
    "/",
    "%",
    "**",
    "^",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "and",
    "or",
    "&&",
    "||",
    "!",
    "not",
    "in",
    "not in",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
];

/// Everything else that a text may be made of.
const PIECES: &[&str] = &[
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ";",
    ":",
    "?",
    "?.",
    "??",
    "?:",
    ".",
    "..",
    "|",
    "::",
    "let x =",
    "if",
    "else",
    "$env",
    "// c\n",
    "/* c */",
    "all(",
    "any(",
    "one(",
    "none(",
    "map(",
    "filter(",
    "find(",
    "findLast(",
    "findIndex(",
    "count(",
    "sum(",
    "mean(",
    "median(",
    "min(",
    "max(",
    "abs(",
    "round(",
    "int(",
    "float(",
    "string(",
    "toJSON(",
    "fromJSON(",
    "split(",
    "replace(",
    "repeat(",
    "join(",
    "concat(",
    "flatten(",
    "uniq(",
    "sort(",
    "sortBy(",
    "groupBy(",
    "reduce(",
    "keys(",
    "toPairs(",
    "fromPairs(",
    "get(",
    "take(",
    "first(",
    "last(",
    "len(",
    "type(",
    "date(",
    "duration(",
    "now()",
    "timezone(",
    "bitshl(",
    "bitnot(",
    ".Format(",
];

/// Well-formed expressions, which get further than random tokens do.
fn expressions() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(OPERANDS).prop_map(str::to_owned);
    leaf.prop_recursive(5, 40, 3, |inner| {
        let function = prop::sample::select(
            super::SIGNATURES
                .iter()
                .map(|signature| signature.name)
                .collect::<Vec<_>>(),
        );
        let method = prop::sample::select(
            super::METHODS
                .iter()
                .map(|method| method.name)
                .collect::<Vec<_>>(),
        );
        let operator = prop::sample::select(OPERATORS);
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(a, o, b)| format!("({a} {o} {b})")),
            (function, prop::collection::vec(inner.clone(), 0..4))
                .prop_map(|(f, a)| format!("{f}({})", a.join(", "))),
            (inner.clone(), method, prop::collection::vec(inner.clone(), 0..2))
                .prop_map(|(base, m, a)| format!("{base}.{m}({})", a.join(", "))),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}[{b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}[{b}:]")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(let x = {a}; {b})")),
            prop::collection::vec(inner.clone(), 0..4).prop_map(|a| format!("[{}]", a.join(", "))),
            (inner.clone(), inner).prop_map(|(a, b)| format!("{{k: {a}, l: {b}}}")),
        ]
    })
}

/// Parses and evaluates; that this returns is what the properties say.
fn run(source: &str, result: &Value) {
    let _ = eval_time(source, now());
    let _ = super::value(source, result);
    match Condition::parse(source) {
        Ok(condition) => {
            let judged = judge(Some(&condition), Some(&condition), result, now());
            assert!(
                judged
                    .message
                    .is_none_or(|message| message.starts_with("could not evaluate "))
            );
        }
        Err(error) => assert!(error.to_string().contains("column "), "{error}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_judged_without_a_panic(source in any::<String>(), result in results()) {
        run(&source, &result);
    }

    #[test]
    fn any_characters_of_the_language_are_judged_without_a_panic(
        source in "[-+*/%^<>=!&|?.:;,#()\\[\\]{}'\"`\\\\ a-z0-9_$é\n]{0,60}",
        result in results(),
    ) {
        run(&source, &result);
    }

    #[test]
    fn any_tokens_are_judged_without_a_panic(
        tokens in prop::collection::vec(prop::sample::select([OPERANDS, OPERATORS, PIECES].concat()), 0..24),
        result in results(),
    ) {
        run(&tokens.join(" "), &result);
    }

    #[test]
    fn any_expression_is_judged_without_a_panic(source in expressions(), result in results()) {
        run(&source, &result);
    }

    #[test]
    fn a_threshold_and_its_opposite_agree_but_on_nan(sample in numbers(), limit in -3..3_i32) {
        let result = Value::floats([sample]);
        let holds = |source: String| Condition::parse(&source).unwrap().evaluate(&result, now()).unwrap();
        let above = holds(format!("result[0] >= {limit}"));
        let below = holds(format!("result[0] < {limit}"));
        prop_assert_eq!(above, sample >= f64::from(limit));
        prop_assert_eq!(above || below, !sample.is_nan());
        prop_assert!(!(above && below));
        prop_assert_eq!(holds("isNaN(result[0])".to_owned()), sample.is_nan());
    }

    #[test]
    fn all_any_and_none_agree(samples in prop::collection::vec(numbers(), 0..6)) {
        let result = Value::floats(samples.iter().copied());
        let holds = |source: &str| Condition::parse(source).unwrap().evaluate(&result, now()).unwrap();
        prop_assert_eq!(holds("all(result, # > 0)"), samples.iter().all(|sample| *sample > 0.0));
        prop_assert_eq!(holds("any(result, # > 0)"), samples.iter().any(|sample| *sample > 0.0));
        prop_assert_eq!(holds("none(result, # > 0)"), !holds("any(result, # > 0)"));
        prop_assert_eq!(holds("count(result, # > 0) == len(result)"), holds("all(result, # > 0)"));
    }

    #[test]
    fn numbers_survive_json_and_text(number in any::<f64>().prop_filter("finite", |n| n.is_finite())) {
        let result = Value::Float(number);
        let holds = |source: &str| Condition::parse(source).unwrap().evaluate(&result, now()).unwrap();
        prop_assert!(holds("float(toJSON(result)) == result"));
        prop_assert!(holds("float(string(result)) == result"));
    }

    #[test]
    fn text_survives_base64_and_json(text in any::<String>()) {
        let result = Value::String(text);
        let holds = |source: &str| Condition::parse(source).unwrap().evaluate(&result, now()).unwrap();
        prop_assert!(holds("fromBase64(toBase64(result)) == result"));
        prop_assert!(holds("fromJSON(toJSON(result)) == result"));
    }
}
