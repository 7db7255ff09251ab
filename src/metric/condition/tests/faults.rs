//! What is rejected, and with which words. The reference rejects each of these too.

/// Rejected when parsed: the expression, the message.
pub(super) const UNPARSABLE: [(&str, &str); 76] = [
    (r#""1" + 1"#, "column 5: cannot apply + to a string and an int"),
    (
        r#"1 == "1""#,
        "column 3: an int never equals a string: convert one with int, float or string",
    ),
    ("foo", "column 1: unknown name foo; known here: result"),
    ("foo(1)", "column 1: unknown function foo"),
    ("result.foo()", "column 8: unknown method foo"),
    (
        "9223372036854775808",
        "column 1: the whole number 9223372036854775808 is too large (64 bits)",
    ),
    ("max()", "column 1: max takes at least 1 argument, got 0"),
    (
        "countBy([1,2,3], # % 2)",
        "column 1: unknown function countBy: did you mean count?",
    ),
    (
        r#"$env["foo"]"#,
        "column 1: unknown name foo in $env; known here: result",
    ),
    (r#""héllo"[1]"#, "column 8: a string has no elements"),
    (
        "let result = 1; result",
        "column 5: result exists already: choose another name",
    ),
    (
        "1 ?? 2 + 3",
        "column 8: ?? and + cannot be mixed: put one of them into parentheses",
    ),
    ("1 ? 2 : 3", "column 1: a condition must be a bool, got an int"),
    (
        r#""abc" matches "(""#,
        r#"column 15: "(" is not a regular expression: unclosed group"#,
    ),
    (
        r#"duration("1h") / 2"#,
        "column 16: cannot apply / to a duration and an int",
    ),
    (r#"-duration("1h")"#, "column 1: - needs a number, got a duration"),
    ("1h", "column 1: 1h is not a number"),
    ("result | len", r#"column 13: expected "(", found the end"#),
    (
        "{a: 1, 1: 2, (1+1): 3}",
        "column 16: a map key must be a string, got an int",
    ),
    (
        "all([1], #)",
        "column 10: all: the predicate must yield true or false, but yields an int",
    ),
    (
        r#"first("abc")"#,
        "column 1: first: expected a list, got a string",
    ),
    (
        r#"get("abc", 0)"#,
        "column 1: get: expected a list or a map, got a string",
    ),
    (
        r#""a" in "abc""#,
        "column 5: cannot apply in to a string and a string",
    ),
    ("not 1", "column 1: not needs a bool, got an int"),
    (r#"+"a""#, "column 1: + needs a number, got a string"),
    ("1 and true", "column 3: cannot apply and to an int and a bool"),
    (
        "[1,2,3][1.5]",
        "column 8: an index must be a whole number, got a float",
    ),
    (r#"date("2023-08-14").foo()"#, "column 20: unknown method foo"),
    (
        "# > 1",
        "column 1: # and .field stand only inside a predicate, as in all(result, # < 1)",
    ),
    (
        ".a",
        "column 1: # and .field stand only inside a predicate, as in all(result, # < 1)",
    ),
    (
        "all([1], #foo > 1)",
        "column 10: unknown #foo: inside all there are #, #index",
    ),
    (
        "#acc",
        "column 1: # and .field stand only inside a predicate, as in all(result, # < 1)",
    ),
    (
        "map([1], #acc)",
        "column 10: unknown #acc: inside map there are #, #index",
    ),
    (
        "let x = 1; let x = 2; x",
        "column 16: x is declared already: choose another name",
    ),
    (
        "let len = 1; len",
        "column 5: len exists already: choose another name",
    ),
    ("let x = 1, 2", r#"column 10: expected ";", found ",""#),
    (
        "result |",
        "column 9: expected the name of a function after |, found the end",
    ),
    ("(1", r#"column 3: expected ")", found the end"#),
    ("[1, 2", r#"column 6: expected "," or "]", found the end"#),
    ("{a: }", r#"column 5: expected a value, found "}""#),
    ("1 +", "column 4: expected a value, found the end"),
    (r#""abc"#, r#"column 1: the string is not closed: expected ""#),
    (
        r"'\q'",
        r#"column 2: unknown escape: expected \n, \t, \\, \", \xHH, \uHHHH or the like"#,
    ),
    ("@", "column 1: unexpected character '@'"),
    ("1 = 1", r#"column 3: expected an operator or the end, found "=""#),
    ("1 === 1", r#"column 5: expected a value, found "=""#),
    ("a & b", "column 1: unknown name a; known here: result"),
    ("0x", "column 1: 0x is not a number"),
    ("1e", "column 1: 1e is not a number"),
    ("if true { 1 }", r#"column 14: expected "else", found the end"#),
    ("true ? 1", r#"column 9: expected ":", found the end"#),
    ("[,]", r#"column 2: expected a value, found ",""#),
    ("all([1])", "column 1: all takes 2 arguments, got 1"),
    ("all([1], # > 0, 1)", "column 1: all takes 2 arguments, got 3"),
    ("not 1 in [2]", "column 1: not needs a bool, got an int"),
    ("10.5 % 3", "column 6: cannot apply % to a float and an int"),
    ("1.5..3.5", "column 4: cannot apply .. to a float and a float"),
    (r#"map({"a":1}, #)"#, "column 5: map: expected a list, got a map"),
    (
        "nil.foo",
        r#"column 4: expected an operator or the end, found ".""#,
    ),
    (r#""abc".foo"#, "column 7: a string has no fields"),
    (
        "true.foo",
        r#"column 5: expected an operator or the end, found ".""#,
    ),
    (
        "5 .foo",
        r#"column 3: expected an operator or the end, found ".""#,
    ),
    ("let f = 1; f(2)", "column 12: f is a value, not a function"),
    ("a.b", "column 1: unknown name a; known here: result"),
    (
        "{not: 1}",
        r#"column 2: expected a key: a name, a string, a number or an expression in parentheses, found "not""#,
    ),
    (
        "{if: 1}",
        r#"column 2: expected a key: a name, a string, a number or an expression in parentheses, found "if""#,
    ),
    (
        "'a' ~ 'b'",
        r#"column 5: expected an operator or the end, found "~""#,
    ),
    ("1 <> 2", r#"column 4: expected a value, found ">""#),
    ("1 !== 2", r#"column 5: expected a value, found "=""#),
    (
        r#""\"#,
        r#"column 2: unknown escape: expected \n, \t, \\, \", \xHH, \uHHHH or the like"#,
    ),
    (
        r#""a\nb" == "a"#,
        r#"column 11: the string is not closed: expected ""#,
    ),
    ("true || 1", "column 6: cannot apply or to a bool and an int"),
    (r#"{"a":1} > 1"#, "column 9: cannot apply > to a map and an int"),
    ("[1] + [2]", "column 5: cannot apply + to a list and a list"),
    ("[1] > 1", "column 5: cannot apply > to a list and an int"),
    (r#""ab" * 2"#, "column 6: cannot apply * to a string and an int"),
];

/// Rejected when evaluated: the expression, the result, the message.
pub(super) const FAILING: [(&str, &str, &str); 71] = [
    ("result > 1", "null", "column 8: cannot apply > to nil and int 1"),
    ("result[0] > 1", "null", "column 7: cannot take index 0 of nil"),
    (
        "result.foo",
        "null",
        r#"column 8: cannot take field "foo" of nil"#,
    ),
    (
        "len(result) == 0",
        "null",
        "column 1: len: expected a list, a map or a string, got nil",
    ),
    (
        "all(result, # > 1)",
        "null",
        "column 5: all: expected a list, got nil",
    ),
    (
        "result[0] > 1",
        "vector",
        "column 7: index 0 is out of range: the list is empty",
    ),
    (
        r#"result[0] == "x""#,
        "vector 1 2",
        "column 11: a float never equals a string: convert one with int, float or string",
    ),
    (
        r#""x" in result"#,
        "vector 1 2",
        "column 5: a string is never in a list of floats",
    ),
    (
        r#"result == "x""#,
        "1.5",
        "column 8: a float never equals a string: convert one with int, float or string",
    ),
    ("result[0] > 1", "1.5", "column 7: a float has no elements"),
    ("result.foo == 1", "1.5", "column 8: a float has no fields"),
    (
        "false && result.foo == 1",
        "1.5",
        "column 17: a float has no fields",
    ),
    (
        "result[0] > 1",
        r#"{"a":1}"#,
        "column 7: the keys of this map are strings, got int 0",
    ),
    (
        "result.b > 1",
        r#"{"a":1}"#,
        "column 10: cannot apply > to nil and int 1",
    ),
    (
        "result.b.c == nil",
        r#"{"a":1}"#,
        r#"column 10: cannot take field "c" of nil"#,
    ),
    (
        r#"result.a.b == "x""#,
        r#"{"a":1}"#,
        r#"column 10: cannot take field "b" of float 1"#,
    ),
    (
        "result.a % 2",
        r#"{"a":1}"#,
        "column 10: % needs two whole numbers, got 1 and 2",
    ),
    (
        "result > 1",
        r#""abc""#,
        "column 8: cannot apply > to a string and an int",
    ),
    (
        "result == 1",
        r#""abc""#,
        "column 8: a string never equals an int: convert one with int, float or string",
    ),
    ("result[0]", r#""abc""#, "column 7: a string has no elements"),
    (
        "result[5]",
        "[1,2]",
        "column 7: index 5 is out of range: the list has 2 elements",
    ),
    (
        r#"result["a"]"#,
        "[1,2]",
        "column 7: a list has no fields: take an element first, as in result[0].name",
    ),
    (
        "result.foo",
        "[1,2]",
        "column 8: a list has no fields: take an element first, as in result[0].name",
    ),
    (
        "result[0] > 1",
        "[]",
        "column 7: index 0 is out of range: the list is empty",
    ),
    (
        r#"isInf("x")"#,
        "vector 1",
        r#"column 1: isInf: expected a number, got string "x""#,
    ),
    ("1%0", "vector 1", "column 2: the modulus is 0"),
    (
        r#"sum(["a"])"#,
        "vector 1",
        r#"column 1: cannot apply + to int 0 and string "a""#,
    ),
    (
        r#"max("a")"#,
        "vector 1",
        r#"column 1: max: expected numbers, got string "a""#,
    ),
    (
        "reduce([], #acc + #)",
        "vector 1",
        "column 1: reduce: the list is empty and there is no start",
    ),
    (
        r#"sort([2, "a"])"#,
        "vector 1",
        r#"column 1: cannot apply < to int 2 and string "a""#,
    ),
    (
        "take([1,2], -1)",
        "vector 1",
        "column 1: take: expected a count of 0 or more, got -1",
    ),
    (
        r#"abs("a")"#,
        "vector 1",
        r#"column 1: abs: expected a number, got string "a""#,
    ),
    (
        r#"int("1.5")"#,
        "vector 1",
        r#"column 1: int: "1.5" is not a whole number"#,
    ),
    (
        r#"float("x")"#,
        "vector 1",
        r#"column 1: float: "x" is not a number"#,
    ),
    (
        r#"asInt("1.5")"#,
        "vector 1",
        r#"column 1: asInt: "1.5" is not a whole number"#,
    ),
    (
        "any([nil], #)",
        "vector 1",
        "column 12: any: the predicate must yield true or false, but yields nil",
    ),
    (
        r#"date("x")"#,
        "vector 1",
        r#"column 1: date: "x" is not a date such as "2006-01-02T15:04:05Z""#,
    ),
    (
        r#"reverse("ab")"#,
        "vector 1",
        r#"column 1: reverse: expected a list, got string "ab""#,
    ),
    (
        r#"repeat("a",-1)"#,
        "vector 1",
        "column 1: repeat: expected a count of 0 or more, got -1",
    ),
    (
        "join([1])",
        "vector 1",
        "column 1: join: expected a list of strings, got int 1",
    ),
    (
        "join([1],[2])",
        "vector 1",
        "column 1: join: expected a string, got list [2]",
    ),
    (
        "bitshl(1,-1)",
        "vector 1",
        "column 1: bitshl: cannot shift by -1 bits",
    ),
    (
        "bitand(1.0,1)",
        "vector 1",
        "column 1: bitand: expected a whole number, got float 1",
    ),
    (
        r#"fromBase64("!!")"#,
        "vector 1",
        "column 1: fromBase64: the text is not base64",
    ),
    (
        r#"fromJSON("{")"#,
        "vector 1",
        "column 1: fromJSON: EOF while parsing an object at line 1 column 1",
    ),
    (
        r#"sort([1,2],"down")"#,
        "vector 1",
        r#"column 1: unknown order "down": expected "asc" or "desc""#,
    ),
    (
        "len(5)",
        "vector 1",
        "column 1: len: expected a list, a map or a string, got int 5",
    ),
    (
        "len(nil)",
        "vector 1",
        "column 1: len: expected a list, a map or a string, got nil",
    ),
    ("!nil", "vector 1", "column 1: not needs a bool, got nil"),
    (
        "true and nil",
        "vector 1",
        "column 10: each side of and must be a bool, got nil",
    ),
    (
        r#"{"a":nil}.a?.b[0]"#,
        "vector 1",
        "column 15: cannot take index 0 of nil",
    ),
    (
        r#"duration("5")"#,
        "vector 1",
        r#"column 1: duration: "5" is not a duration such as "90s", "5m" or "1h30m""#,
    ),
    (
        r#"max(1, "a")"#,
        "vector 1",
        r#"column 1: max: expected numbers, got string "a""#,
    ),
    (
        "max(1, nil)",
        "vector 1",
        "column 1: max: expected numbers, got nil",
    ),
    (
        "max([nil])",
        "vector 1",
        "column 1: max: expected numbers, got nil",
    ),
    ("max(nil)", "vector 1", "column 1: max: expected numbers, got nil"),
    (
        r#"mean("a")"#,
        "vector 1",
        r#"column 1: mean: expected numbers, got string "a""#,
    ),
    (
        r#"isNaN("x")"#,
        "vector 1",
        r#"column 1: isNaN: expected a number, got string "x""#,
    ),
    (
        "isNaN(nil)",
        "vector 1",
        "column 1: isNaN: expected a number, got nil",
    ),
    (
        r#"int("0x10")"#,
        "vector 1",
        r#"column 1: int: "0x10" is not a whole number"#,
    ),
    (
        "int(true)",
        "vector 1",
        "column 1: int: expected a number or a string, got bool true",
    ),
    (
        "asFloat(nil)",
        "vector 1",
        "column 1: asFloat: expected a number, got nil",
    ),
    (
        "asFloat(true)",
        "vector 1",
        "column 1: asFloat: expected a number, got bool true",
    ),
    (
        r#"asFloat(" 1")"#,
        "vector 1",
        r#"column 1: asFloat: " 1" is not a number"#,
    ),
    (
        r#"abs(duration("-1s"))"#,
        "vector 1",
        "column 1: abs: expected a number, got duration -1s",
    ),
    (
        "toJSON(result)",
        "vector NaN",
        "column 1: toJSON: JSON has no number NaN",
    ),
    (
        "result.not",
        "vector 1",
        "column 8: a list has no fields: take an element first, as in result[0].name",
    ),
    ("nil > 1", "vector 1", "column 5: cannot apply > to nil and int 1"),
    (
        r#"timezone("Nowhere/X")"#,
        "vector 1",
        r#"column 1: timezone: unknown time zone "Nowhere/X""#,
    ),
    (
        r#"date("2023-08-14", "2006-01-02", "Nope/Z")"#,
        "vector 1",
        r#"column 1: date: unknown time zone "Nope/Z""#,
    ),
    (
        r#"date("2023-13-14")"#,
        "vector 1",
        r#"column 1: date: "2023-13-14" is not a date such as "2006-01-02T15:04:05Z""#,
    ),
];
