//! A scripted device at the other end of a pipe.

use tokio::io::{AsyncBufReadExt, BufReader, DuplexStream, duplex};

use super::*;

const MORE: &str = " --More-- ";
const ERASE: &str = "\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08          \x08\x08\x08\x08\x08\x08\x08\x08\x08\x08";

/// Plays a device: each command gets the answer that `answer` gives; comments only a prompt. Answers
/// are sent in pieces of `piece` bytes. An answer that ends with `\0` ends the connection.
async fn device(stream: DuplexStream, piece: usize, answer: impl Fn(&str) -> String) {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut reader = BufReader::new(reader);
    let mut prompt = "tor>".to_owned();
    let mut write = async |text: &str| -> bool {
        for piece in text.as_bytes().chunks(piece) {
            if writer.write_all(piece).await.is_err() || writer.flush().await.is_err() {
                return false;
            }
            tokio::task::yield_now().await;
        }
        true
    };
    write(&format!("\r\nAuthorised people only #\r\n\r\n{prompt}")).await;
    let mut line = String::new();
    while reader.read_line(&mut line).await.is_ok_and(|length| length > 0) {
        let command = line.trim_end().to_owned();
        line.clear();
        let mut text = if command.starts_with('!') { String::new() } else { answer(&command) };
        if let Some(other) = text.strip_prefix("=>").map(str::to_owned) {
            prompt = other;
            text = String::new();
        }
        write(&format!("{command}\r\n")).await;
        for (index, page) in text.trim_end_matches('\0').split(MORE).enumerate() {
            if index > 0 {
                write(MORE).await;
                let mut key = [0];
                tokio::io::AsyncReadExt::read_exact(&mut reader, &mut key).await.expect("a key");
                assert_eq!(key, *b" ");
                write(ERASE).await;
            }
            write(page).await;
        }
        if text.ends_with('\0') || !write(&prompt).await {
            return;
        }
    }
}

async fn with<T>(
    piece: usize,
    answer: impl Fn(&str) -> String,
    work: impl AsyncFnOnce(Result<Shell<DuplexStream>, CliError>) -> T,
) -> T {
    let (ours, theirs) = duplex(1 << 16);
    tokio::select! {
        result = async { work(Shell::open(ours).await).await } => result,
        () = async { device(theirs, piece, answer).await; std::future::pending().await } => unreachable!(),
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_what_is_between_the_echo_and_the_prompt() {
    for piece in [1, 3, 1000] {
        let answer = |command: &str| format!("first {command}\r\n\r\nlast\r\n");
        let lines = with(piece, answer, async |shell| {
            let mut shell = shell.expect("a prompt");
            assert_eq!((shell.host(), shell.mode()), ("tor", &Mode::User));
            shell.run("show it").await.expect("answered")
        });
        assert_eq!(lines.await, ["first show it", "", "last"]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_looks_like_a_prompt_is_not_the_end() {
    for piece in [1, 2, 5, 1000] {
        let answer = |_: &str| "one\r\ntor#\r\ntor>\r\ntor# two\r\n".to_owned();
        let lines = with(piece, answer, async |shell| shell.expect("a prompt").run("show it").await.expect("answered"));
        assert_eq!(lines.await, ["one", "tor#", "tor>", "tor# two"], "in pieces of {piece}");
    }
}

#[tokio::test(start_paused = true)]
async fn pages_are_turned() {
    let answer = |_: &str| format!("one\r\n{MORE}two\r\n{MORE}three\r\n");
    let lines = with(7, answer, async |shell| shell.expect("a prompt").run("show it").await.expect("answered"));
    assert_eq!(lines.await, ["one", "two", "three"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_end_is_refused() {
    let answer = |_: &str| "0123456789abcde\r\n".repeat(300_000);
    let error = with(1 << 15, answer, async |shell| {
        let mut shell = shell.expect("a prompt");
        let error = shell.run("show it").await.expect_err("too long");
        assert!(!shell.is_open() && !shell.is_alive().await);
        error
    });
    assert!(matches!(error.await, CliError::TooMuch));
}

#[tokio::test(start_paused = true)]
async fn a_cut_a_silence_and_a_question_are_errors() {
    let cut = with(9, |_: &str| "half\0".to_owned(), async |shell| shell.expect("a prompt").run("show it").await);
    assert!(matches!(cut.await, Err(CliError::Cut)));
    let question = |_: &str| "=>Overwrite the file? [confirm]".to_owned();
    let asked = with(9, question, async |shell| shell.expect("a prompt").run("write").await).await;
    assert_eq!(asked.expect_err("a question").to_string(), "the device asks: Overwrite the file? [confirm]");
    let silence = with(9, |_: &str| "=>working".to_owned(), async |shell| shell.expect("a prompt").run("write").await);
    assert_eq!(silence.await.expect_err("silent").to_string(), "no prompt came within 30 s; last seen: \"working\"");
}

#[tokio::test(start_paused = true)]
async fn a_device_without_a_free_line_says_so() {
    let (ours, mut theirs) = duplex(1000);
    theirs.write_all(b"\r\n% Connection refused by remote host\r\n").await.expect("written");
    drop(theirs);
    let error = Shell::open(ours).await.err().expect("refused").to_string();
    assert_eq!(error, "the device takes no further session: % Connection refused by remote host");
}

#[tokio::test(start_paused = true)]
async fn enable_asks_for_its_own_password() {
    let answer = |command: &str| match command {
        "enable" => "=>Password: ".to_owned(),
        "right" => "=>tor#".to_owned(),
        _ => "=>tor>".to_owned(),
    };
    for (password, is_let_in) in [("right", true), ("wrong", false)] {
        let result = with(4, answer, async |shell| {
            let mut shell = shell.expect("a prompt");
            let result = shell.enable(Some(&Secret::new(password))).await;
            assert_eq!(shell.mode() == &Mode::Privileged, is_let_in);
            result
        });
        assert_eq!(result.await.is_ok(), is_let_in);
    }
    let none = with(4, answer, async |shell| shell.expect("a prompt").enable(None).await);
    assert!(matches!(none.await, Err(CliError::Enable)));
}
