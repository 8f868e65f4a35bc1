//! The last guard of the templates: what no filter has passed is refused here, without a name.

use std::fmt;

use askama::filters::Escaper;

use crate::check::is_plain;

/// For iPXE scripts.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ipxe;

/// For Kickstart files.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Kickstart;

fn write_plain(mut dest: impl fmt::Write, text: &str) -> fmt::Result {
    if text.bytes().all(|byte| is_plain(byte) || byte == b' ') { dest.write_str(text) } else { Err(fmt::Error) }
}

impl Escaper for Ipxe {
    fn write_escaped_str<W: fmt::Write>(&self, dest: W, string: &str) -> fmt::Result {
        write_plain(dest, string)
    }
}

impl Escaper for Kickstart {
    fn write_escaped_str<W: fmt::Write>(&self, dest: W, string: &str) -> fmt::Result {
        write_plain(dest, string)
    }
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use crate::TemplateError;

    #[derive(Template)]
    #[template(source = "echo {{ value }}\n", ext = "txt", escape = "ipxe")]
    struct Forgetful<'a> {
        value: &'a str,
    }

    #[test]
    fn a_value_that_went_through_no_filter_is_stopped() {
        assert_eq!(Forgetful { value: "a b" }.render().expect("plain"), "echo a b\n");
        for value in ["a\nreboot", "${net0/mac}", "a || b", "a # b", "\"", "'", "`", "\\", "ä"] {
            let error = Forgetful { value }.render().map_err(TemplateError::rendering("forgetful"));
            assert!(matches!(error, Err(TemplateError::Render { template: "forgetful", .. })), "{value}");
        }
    }
}
