//! The terminal of one session: lines typed and echoed, answers printed, a page at a time.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::device::Device;

/// Longest line that can be typed, in bytes. Source: Cisco IOS command-line editing, 254 characters.
const MAX_LINE: usize = 254;
/// Lines of a page, before `terminal length` says otherwise.
const PAGE: usize = 24;
const MORE: &str = " --More-- ";
/// Goes back over it, blanks it, and goes back again.
const ERASE: &str = "\x08\x08\x08\x08\x08\x08\x08\x08\x08        \x08\x08\x08\x08\x08\x08\x08\x08\x08";
/// Ctrl-D, on an empty line.
const END_OF_INPUT: u8 = 4;

/// One terminal.
pub(super) struct Terminal<S> {
    stream: S,
    device: Arc<Device>,
    /// Lines of a page; 0 for no pages.
    length: usize,
    /// The last byte was a carriage return, of which a line feed is part.
    after_return: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Terminal<S> {
    pub(super) fn new(stream: S, device: Arc<Device>) -> Self {
        Self { stream, device, length: PAGE, after_return: false }
    }

    /// `terminal length …`.
    pub(super) fn set_length(&mut self, lines: usize) {
        if !self.device.personality.always_pages {
            self.length = lines;
        }
    }

    /// Reads a line; none at the end of input.
    pub(super) async fn read_line(&mut self, echo: bool) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        loop {
            let mut byte = [0];
            if self.stream.read(&mut byte).await? == 0 {
                return Ok(None);
            }
            let is_second = std::mem::take(&mut self.after_return) && byte[0] == b'\n';
            match byte[0] {
                _ if is_second => {}
                end @ (b'\r' | b'\n') => {
                    self.after_return = end == b'\r';
                    self.write("\r\n").await?;
                    return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
                }
                END_OF_INPUT if line.is_empty() => return Ok(None),
                8 | 127 => {
                    let erased = line.pop();
                    if echo && erased.is_some() {
                        self.write("\x08 \x08").await?;
                    }
                }
                byte if byte >= 0x20 && line.len() < MAX_LINE => {
                    line.push(byte);
                    if echo {
                        self.stream.write_all(&[byte]).await?;
                        self.stream.flush().await?;
                    }
                }
                _ => {}
            }
        }
    }

    /// Prints a text as it is.
    pub(super) async fn write(&mut self, text: &str) -> io::Result<()> {
        let Some((bytes, every)) = self.device.personality.trickle else {
            self.stream.write_all(text.as_bytes()).await?;
            return self.stream.flush().await;
        };
        for piece in text.as_bytes().chunks(bytes.max(1)) {
            self.stream.write_all(piece).await?;
            self.stream.flush().await?;
            self.device.world.sleep(every).await;
        }
        Ok(())
    }

    /// Prints lines, a page at a time.
    pub(super) async fn print(&mut self, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        if self.length == 0 {
            return self.write(&format!("{}\r\n", text.trim_end_matches('\n').replace('\n', "\r\n"))).await;
        }
        let mut left = self.length - 1;
        for line in text.trim_end_matches('\n').split('\n') {
            if left == 0 {
                self.write(MORE).await?;
                let mut key = [0];
                if self.stream.read(&mut key).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.write(ERASE).await?;
                left = match key[0] {
                    b' ' => self.length - 1,
                    b'\r' | b'\n' => 1,
                    _ => return Ok(()),
                };
            }
            self.write(&format!("{line}\r\n")).await?;
            left -= 1;
        }
        Ok(())
    }
}
