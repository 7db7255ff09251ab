use super::{credentials, refusal};

/// As the API reference shows it.
const ANSWER: &str = r#"<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleResult>
    <SourceIdentity>DevUser123</SourceIdentity>
    <AssumedRoleUser>
      <AssumedRoleId>ARO123EXAMPLE123:serin</AssumedRoleId>
      <Arn>arn:aws:sts::123456789012:assumed-role/prometheus/serin</Arn>
    </AssumedRoleUser>
    <Credentials>
      <AccessKeyId>ASIAIOSFODNN7EXAMPLE</AccessKeyId>
      <SecretAccessKey>wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY</SecretAccessKey>
      <SessionToken>
       AQoDYXdzEPT//////////wEXAMPLE+Zt==
      </SessionToken>
      <Expiration>2026-01-02T04:04:05Z</Expiration>
    </Credentials>
    <PackedPolicySize>8</PackedPolicySize>
  </AssumeRoleResult>
</AssumeRoleResponse>"#;

#[test]
fn the_four_elements_of_an_answer_are_read() {
    let fetched = credentials(ANSWER).unwrap();
    assert_eq!(fetched.value.access_key_id, "ASIAIOSFODNN7EXAMPLE");
    assert_eq!(
        fetched.value.secret_access_key,
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY"
    );
    assert_eq!(
        fetched.value.session_token.as_deref(),
        Some("AQoDYXdzEPT//////////wEXAMPLE+Zt==")
    );
    assert_eq!(fetched.until, "2026-01-02T04:04:05Z".parse().unwrap());
}

#[test]
fn an_answer_that_is_not_whole_or_not_plain_is_none() {
    let twice = "<Credentials></Credentials>".to_owned() + ANSWER;
    for (what, answer) in [
        ("nothing", String::new()),
        ("JSON", r#"{"Credentials": {}}"#.to_owned()),
        ("an end", ANSWER.replace("</Credentials>", "")),
        ("no token", ANSWER.replace("SessionToken>", "Token>")),
        (
            "an empty secret",
            ANSWER.replace("wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY", " "),
        ),
        ("markup", ANSWER.replace("ASIAIOSFODNN7EXAMPLE", "<b>ASIA</b>")),
        ("an entity", ANSWER.replace("ASIAIOSFODNN7EXAMPLE", "ASIA&amp;")),
        ("no time", ANSWER.replace("2026-01-02T04:04:05Z", "tomorrow")),
        ("two of them", twice),
        ("the beginning", ANSWER[..ANSWER.len() / 2].to_owned()),
    ] {
        assert!(credentials(&answer).is_none(), "{what}");
    }
}

#[test]
fn a_refusal_is_code_and_message() {
    let answer = r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
        <Code>AccessDenied</Code><Message>&quot;a&quot; &amp;amp; b &lt; c</Message></Error><RequestId>x</RequestId></ErrorResponse>"#;
    assert_eq!(refusal(answer).unwrap(), "AccessDenied: \"a\" &amp; b < c");
    assert_eq!(
        refusal("<Error><Code>Throttling</Code></Error>").unwrap(),
        "Throttling: "
    );
    assert_eq!(refusal("<html>503</html>"), None);
}
