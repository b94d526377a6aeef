//! The option `retry(max = 5, base = "200ms", max_delay = "1m", jitter)` of a command.

use crate::{
    duration::{Millis, in_millis},
    mistakes::Mistakes,
    options::{self, Setting},
};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Most runs after the first; `replybus::limits` says why.
const MAX: u32 = 20;

/// The longest pause, in milliseconds.
const DELAY_MAX: u64 = 24 * 60 * 60 * 1000;

/// The pauses if nothing is said.
const BASE: Millis = Millis(200);
pub(crate) const DELAY: Millis = Millis(60 * 1000);

/// When a command that is put off is run again, as far as that is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Retry {
    pub(crate) max: Option<u32>,
    pub(crate) base: Option<Millis>,
    pub(crate) max_delay: Option<Millis>,
    pub(crate) jitter: bool,
}

/// `true` if an option is this one.
pub(crate) fn is_retry(option: &TokenStream) -> bool {
    let first = option.clone().into_iter().next();
    matches!(first, Some(TokenTree::Ident(name)) if name == "retry")
}

impl Retry {
    /// Reads what is in the brackets, if there are any. What is wrong keeps its default and is noted.
    pub(crate) fn read(option: TokenStream, mistakes: &mut Mistakes) -> Self {
        let mut this = Self::default();
        let mut tokens = option.clone().into_iter().skip(1);
        let group = match (tokens.next(), tokens.next()) {
            (None, _) => return this,
            (Some(TokenTree::Group(group)), None)
                if group.delimiter() == Delimiter::Parenthesis =>
            {
                group
            }
            _ => {
                mistakes.push(
                    option,
                    "`retry` stands alone, or with options in brackets: `retry(max = 5, base = \"200ms\", max_delay = \"1m\", jitter)`",
                );
                return this;
            }
        };
        let (words, settings): (Vec<_>, Vec<_>) = options::split(group.stream())
            .into_iter()
            .partition(|part| part.to_string() == "jitter");
        for word in words {
            if this.jitter {
                mistakes.push(word, "`jitter` is given twice");
            }
            this.jitter = true;
        }
        let known = ["max", "base", "max_delay", "jitter"];
        let settings = Setting::read_all(settings, &known, mistakes);
        for setting in &settings {
            match setting.name().as_str() {
                "max" => this.max = setting.integer(1..=MAX, mistakes),
                "base" => this.base = pause(setting, mistakes),
                "max_delay" => this.max_delay = pause(setting, mistakes),
                _ => mistakes.push(setting.value(), "`jitter` stands alone, without a value"),
            }
        }
        let (Millis(base), Millis(most)) =
            (this.base.unwrap_or(BASE), this.max_delay.unwrap_or(DELAY));
        let last = settings.iter().rfind(|setting| setting.name() != "max");
        if let Some(setting) = last.filter(|_| base > most) {
            let message =
                format!("`max_delay` is at least `base`: here {most} ms are less than {base} ms");
            mistakes.push(setting.value(), message);
        }
        this
    }
}

fn pause(setting: &Setting, mistakes: &mut Mistakes) -> Option<Millis> {
    let name = setting.name();
    let allowed = format!(
        "`{name}` is a pause in quotes, from \"1ms\" to \"24h\": a whole number and its unit, `ms`, `s`, `m` or `h`"
    );
    let read = |text: &str| match in_millis(text) {
        Some(millis @ 1..=DELAY_MAX) => Ok(Millis(millis)),
        _ => Err(allowed.clone()),
    };
    setting.text(&allowed, read, mistakes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use replybus::limits;

    #[test]
    fn limits_are_those_of_the_runtime() {
        assert_eq!(MAX, limits::RETRIES_MAX);
        for (millis, limit) in [
            (DELAY_MAX, limits::RETRY_DELAY_MAX),
            (BASE.0, limits::RETRY_BASE),
            (DELAY.0, limits::RETRY_DELAY),
        ] {
            assert_eq!(u128::from(millis), limit.as_millis());
        }
    }
}
