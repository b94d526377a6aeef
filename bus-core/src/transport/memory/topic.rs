//! Routing keys of a topic exchange and the patterns that select them.

/// A binding's pattern: words between dots, `*` for one word, `#` for any number of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TopicPattern(Vec<String>);

impl TopicPattern {
    pub(super) fn new(pattern: &str) -> Self {
        Self(words(pattern).into_iter().map(str::to_owned).collect())
    }

    /// `true` if the pattern selects a routing key, given as its [`words`].
    ///
    /// Walks back to the last `#` only, so that a pattern full of them costs no more than the
    /// product of both lengths.
    pub(super) fn matches(&self, key: &[&str]) -> bool {
        let (mut at, mut word) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        while let Some(actual) = key.get(word) {
            match self.0.get(at).map(String::as_str) {
                Some("#") => {
                    at += 1;
                    retry = Some((at, word));
                }
                Some(expected) if expected == "*" || expected == *actual => {
                    at += 1;
                    word += 1;
                }
                _ => {
                    let Some((after_hash, swallowed)) = retry else {
                        return false;
                    };
                    (at, word) = (after_hash, swallowed + 1);
                    retry = Some((at, word));
                }
            }
        }
        self.0.iter().skip(at).all(|rest| rest == "#")
    }
}

/// The words of a routing key. An empty key has none, as RabbitMQ counts.
pub(super) fn words(key: &str) -> Vec<&str> {
    if key.is_empty() {
        Vec::new()
    } else {
        key.split('.').collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, word by word.
    fn by_definition(pattern: &[&str], key: &[&str]) -> bool {
        match (pattern.split_first(), key.split_first()) {
            (None, rest) => rest.is_none(),
            (Some((&"#", pattern)), _) => {
                (0..=key.len()).any(|skipped| by_definition(pattern, &key[skipped..]))
            }
            (Some(_), None) => false,
            (Some((first, pattern)), Some((word, key))) => {
                (*first == "*" || first == word) && by_definition(pattern, key)
            }
        }
    }

    #[test]
    fn selects_as_rabbitmq_documents() {
        for (pattern, key, selected) in [
            ("a.b", "a.b", true),
            ("a.b", "a.c", false),
            ("a.*", "a.b", true),
            ("a.*", "a", false),
            ("a.*", "a.b.c", false),
            ("a.*", "a.", true),
            ("a.#", "a", true),
            ("a.#", "a.b.c", true),
            ("#", "", true),
            ("*", "", false),
            ("#.c", "a.b.c", true),
            ("#.c", "a.c.b", false),
            ("*.*.rabbit", "quick.orange.rabbit", true),
            ("lazy.#", "lazy.pink.rabbit", true),
            ("", "", true),
            ("", "a", false),
        ] {
            let pattern = TopicPattern::new(pattern);
            assert_eq!(
                pattern.matches(&words(key)),
                selected,
                "{pattern:?} {key:?}"
            );
        }
    }

    /// Every pattern and key of up to five words over a small alphabet.
    #[test]
    fn agrees_with_the_definition() {
        fn all(alphabet: &[&'static str], length: usize) -> Vec<Vec<&'static str>> {
            let mut texts = vec![Vec::new()];
            let mut longest = texts.clone();
            for _ in 0..length {
                longest = longest
                    .iter()
                    .flat_map(|text: &Vec<&str>| {
                        alphabet
                            .iter()
                            .map(|word| [text.as_slice(), &[word]].concat())
                    })
                    .collect();
                texts.extend(longest.clone());
            }
            texts
        }
        let keys = all(&["a", "b"], 5);
        for pattern in all(&["a", "b", "*", "#"], 5) {
            let compiled = TopicPattern::new(&pattern.join("."));
            for key in &keys {
                assert_eq!(
                    compiled.matches(key),
                    by_definition(&pattern, key),
                    "{pattern:?} {key:?}"
                );
            }
        }
    }
}
