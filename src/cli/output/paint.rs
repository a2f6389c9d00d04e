//! Colour, where the stream may have it.

use super::ColorChoice;

/// Puts colours around text, or leaves it as it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// Decides once per stream: the flag, then `NO_COLOR`, `CLICOLOR_FORCE`, `TERM=dumb`, then the terminal.
    pub(crate) fn new(choice: ColorChoice, terminal: bool) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let forced = std::env::var_os("CLICOLOR_FORCE")
            .is_some_and(|value| !value.is_empty() && value != "0");
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let on = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => !set("NO_COLOR") && (forced || (terminal && !dumb)),
        };
        Self { on }
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.on {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    /// Whether colours are put.
    pub(crate) fn is_on(self) -> bool {
        self.on
    }

    /// Bold.
    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// Less important.
    pub(crate) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    /// Failure.
    pub(crate) fn red(self, text: &str) -> String {
        self.wrap("31", text)
    }

    /// Success.
    pub(crate) fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// Attention.
    pub(crate) fn yellow(self, text: &str) -> String {
        self.wrap("33", text)
    }
}
