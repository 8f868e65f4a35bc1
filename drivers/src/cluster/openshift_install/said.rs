//! What the program says while it runs: lines of logrus, and the noise of the Kubernetes client between them.
//!
//! Owns what of it may be shown: no secret passes. Does not know what a line means for an installation; the exit
//! code decides that ([`super::failure`]).
//! Source: recorded output of 4.20.0-0.okd-scos; klog's header "Lmmdd hh:mm:ss.uuuuuu threadid file:line]".

use harmony_core::secret::Secret;

/// Characters of a line that are shown.
const MAX_CHARS: usize = 400;
/// Put in place of a secret.
const CUT: &str = "…";

/// How urgent a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Info,
    Warning,
    Error,
}

/// One line, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// For people.
    Line(Level, String),
    /// Of the Kubernetes client, of which there are many while nothing answers.
    Noise(String),
    /// Nothing.
    Nothing,
}

/// What is never shown.
#[derive(Debug, Default)]
pub(super) struct Unsayable(Vec<String>);

impl Unsayable {
    /// These texts, in each way that the program quotes them, and whatever JSON strings of some length are in them.
    pub(super) fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut texts = Vec::new();
        for secret in secrets {
            let text = secret.expose().trim();
            if let Ok(value) = serde_json::from_str(text) {
                strings(&value, &mut texts);
            }
            let once = text.replace('\\', "\\\\").replace('"', "\\\"");
            let twice = once.replace('\\', "\\\\").replace('"', "\\\"");
            texts.extend([text.to_owned(), once, twice]);
        }
        // What is shorter would be found in words that are no secret.
        texts.retain(|text| text.len() >= 6);
        // The longest first, so that no rest of one is left.
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        texts.dedup();
        Self(texts)
    }

    fn cut(&self, text: String) -> String {
        self.0.iter().fold(text, |text, secret| if text.contains(secret) { text.replace(secret, CUT) } else { text })
    }
}

/// The strings of a pull secret: user names, passwords, tokens.
fn strings(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) => found.push(text.clone()),
        serde_json::Value::Array(values) => values.iter().for_each(|value| strings(value, found)),
        serde_json::Value::Object(values) => values.values().for_each(|value| strings(value, found)),
        _ => {}
    }
}

/// Understands a line: `level=info msg=…`, `time="…" level=info msg="…"`, `INFO …`, `INFO[0003] …`, or the
/// continuation of one.
pub(super) fn parse(line: &str, unsayable: &Unsayable) -> Said {
    let line = without_colours(line);
    let line = line.trim_end();
    if line.trim().is_empty() {
        return Said::Nothing;
    }
    if is_klog(line) {
        return Said::Noise(shown(&reason(line), unsayable));
    }
    let (level, text) = logfmt(line).or_else(|| terminal(line)).unwrap_or((Level::Info, line.trim().to_owned()));
    let text = shown(&text, unsayable);
    if text.is_empty() { Said::Nothing } else { Said::Line(level, text) }
}

fn shown(text: &str, unsayable: &Unsayable) -> String {
    let text = unsayable.cut(text.trim().to_owned());
    let text = without_password(&without_value(&text));
    let cut = text.chars().take(MAX_CHARS);
    cut.map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// `Login to the console with user: "kubeadmin", and password: "…"`.
fn without_password(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let at = lower.match_indices("password").find(|(at, word)| {
        let rest = lower[at + word.len()..].trim_start();
        rest.starts_with([':', '=', '"'])
    });
    match at {
        Some((at, word)) => format!("{}: {CUT}", &text[..at + word.len()]),
        None => text.to_owned(),
    }
}

/// `pullSecret: Invalid value: "…": reason`: the value is the secret, or what was meant to be one. However it is quoted,
/// nothing of it is left.
fn without_value(text: &str) -> String {
    let value = text.find("pullSecret").and_then(|at| text[at..].find("Invalid value: ").map(|found| at + found));
    let Some(value) = value.map(|at| at + "Invalid value: ".len()) else { return text.to_owned() };
    let end = text[value..].rfind("\": ").map_or(text.len(), |end| value + end + 1);
    format!("{}{CUT}{}", &text[..value], &text[end..])
}

fn without_colours(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            // ECMA-48: parameters, then one final character.
            if chars.next() == Some('[') {
                let _ = chars.find(|c| ('@'..='~').contains(c));
            }
        } else {
            text.push(c);
        }
    }
    text
}

fn is_klog(line: &str) -> bool {
    let bytes = line.as_bytes();
    bytes.len() > 20
        && b"IWEF".contains(&bytes[0])
        && bytes[1..5].iter().all(u8::is_ascii_digit)
        && bytes[5] == b' '
        && bytes[6..8].iter().all(u8::is_ascii_digit)
        && bytes[8] == b':'
}

/// What the client complains of, without where in its source it does so.
fn reason(line: &str) -> String {
    let text = line.split_once("] ").map_or(line, |(_, text)| text);
    let text = text.find("failed to ").map_or(text, |at| &text[at..]);
    text.to_owned()
}

fn logfmt(line: &str) -> Option<(Level, String)> {
    let at = if line.starts_with("level=") { 0 } else { line.strip_prefix("time=")?.find(" level=")? + "time= ".len() };
    let rest = line.get(at..)?.strip_prefix("level=")?;
    let (word, rest) = rest.split_once(' ')?;
    let message = rest.trim_start().strip_prefix("msg=")?;
    Some((level(word)?, unquoted(message)))
}

fn terminal(line: &str) -> Option<(Level, String)> {
    let end = line.find(|c: char| !c.is_ascii_uppercase())?;
    let level = level(&line[..end].to_ascii_lowercase())?;
    let rest = &line[end..];
    // `INFO[0003] …`: seconds since the start.
    let rest = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(rest, |(_, rest)| rest);
    rest.starts_with(' ').then(|| (level, rest.trim().to_owned()))
}

fn level(word: &str) -> Option<Level> {
    match word {
        "trace" | "debug" | "info" => Some(Level::Info),
        "warn" | "warning" => Some(Level::Warning),
        "error" | "fatal" | "panic" => Some(Level::Error),
        _ => None,
    }
}

/// A Go string literal without its quotes; other text as it is.
fn unquoted(text: &str) -> String {
    let text = text.trim();
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return text.to_owned() };
    let mut plain = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            // A bare quote: it was no literal.
            '"' => return text.to_owned(),
            '\\' => match chars.next() {
                Some('n') => plain.push(' '),
                Some('t') => plain.push(' '),
                Some(escaped @ ('"' | '\\')) => plain.push(escaped),
                Some(other) => plain.extend(['\\', other]),
                None => return text.to_owned(),
            },
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(level: Level, text: &str) -> Said {
        Said::Line(level, text.to_owned())
    }

    #[track_caller]
    fn check(said: &str, expected: Said) {
        assert_eq!(parse(said, &Unsayable::default()), expected, "{said}");
    }

    #[test]
    fn the_forms_of_a_line() {
        let waiting =
            "Waiting up to 20m0s (until 2:18AM UTC) for the Kubernetes API at https://api.ocp4.example.com:6443...";
        check(&format!("level=info msg={waiting}"), line(Level::Info, waiting));
        check(&format!("INFO {waiting} "), line(Level::Info, waiting));
        check(&format!("\u{1b}[36mINFO\u{1b}[0m[0003] {waiting}"), line(Level::Info, waiting));
        check(
            "time=\"2026-11-22T01:57:46Z\" level=warning msg=\"a \\\"b\\\"\\nc\" extra",
            line(Level::Warning, "\"a \\\"b\\\"\\nc\" extra"),
        );
        check(
            "level=fatal msg=\"Error executing openshift-install: unknown command \\\"bogus\\\" for \\\"openshift-install\\\"\"",
            line(
                Level::Error,
                "Error executing openshift-install: unknown command \"bogus\" for \"openshift-install\"",
            ),
        );
        check("FATAL Bootstrap failed to complete", line(Level::Error, "Bootstrap failed to complete"));
        check("    export KUBECONFIG=/x/auth/kubeconfig", line(Level::Info, "export KUBECONFIG=/x/auth/kubeconfig"));
        check("INFOrmation", line(Level::Info, "INFOrmation"));
        check("level=strange msg=x", line(Level::Info, "level=strange msg=x"));
        check("  ", Said::Nothing);
        check("level=info msg=", Said::Nothing);
        check("level=info msg=a\u{7}b", line(Level::Info, "a\\u{7}b"));
    }

    #[test]
    fn noise_of_the_client_is_told_apart() {
        check(
            "W1122 01:58:30.771127   25137 reflector.go:569] k8s.io/client-go/tools/watch/informerwatcher.go:146: failed to list *v1.ClusterVersion: Get \"https://api\": dial tcp: no such host",
            Said::Noise("failed to list *v1.ClusterVersion: Get \"https://api\": dial tcp: no such host".into()),
        );
        check(
            "E1122 01:58:30.771207   25137 reflector.go:166] \"Unhandled Error\" err=\"…\"",
            Said::Noise("\"Unhandled Error\" err=\"…\"".into()),
        );
    }

    #[test]
    fn no_secret_passes() {
        let password = Secret::new("AbCdE-fGhIj-KlMnO-pQrSt\n");
        let pull = Secret::new(r#"{"auths":{"quay.io":{"auth":"dXNlcjpodW50ZXIy","email":"a@b"}}}"#);
        let unsayable = Unsayable::new([&password, &pull]);
        for said in [
            "level=info msg=Login to the console with user: \"kubeadmin\", and password: \"AbCdE-fGhIj-KlMnO-pQrSt\"",
            "level=info msg=\"Login to the console with user: \\\"kubeadmin\\\", and password: \\\"AbCdE-fGhIj-KlMnO-pQrSt\\\"\"",
            "INFO AbCdE-fGhIj-KlMnO-pQrSt",
            "level=debug msg=using dXNlcjpodW50ZXIy",
            r#"level=error msg=x: pullSecret: Invalid value: "{\"auths\":{\"quay.io\":{\"auth\":\"dXNlcjpodW50ZXIy\"": unexpected end"#,
            r#"level=error msg="pullSecret: Invalid value: \"{\\\"auths\\\": hunter2": bad"#,
            r#"W1122 01:58:30.771127   25137 x.go:1] password="hunter2""#,
        ] {
            let shown = format!("{:?}", parse(said, &unsayable));
            for secret in ["AbCdE", "dXNlcjpodW50ZXIy", "hunter2"] {
                assert!(!shown.contains(secret), "{shown}");
            }
        }
        let unknown = parse("INFO user: \"kubeadmin\", and password: \"other\"", &Unsayable::default());
        assert_eq!(unknown, line(Level::Info, "user: \"kubeadmin\", and password: …"));
        let harmless = "failed to read /x/auth/kubeadmin-password now";
        check(&format!("INFO {harmless}"), line(Level::Info, harmless));
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_taken(line in "\\PC{0,200}") {
            let _ = parse(&line, &Unsayable::default());
        }
    }
}
