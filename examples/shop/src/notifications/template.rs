//! What a buyer is told, in the language they want.

use crate::{contracts::OrderCreated, price::MINOR_PER_UNIT};
use serde::{Deserialize, Serialize};

/// A language that templates are there for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Language {
    /// Vietnamese.
    Vi,
    /// English.
    #[default]
    En,
}

impl Language {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Vi => "vi",
            Self::En => "en",
        }
    }

    pub(super) fn of(text: &str) -> Self {
        if text == "vi" { Self::Vi } else { Self::En }
    }

    /// The first line is the subject.
    const fn order_created(self) -> &'static str {
        match self {
            Self::Vi => include_str!("../../templates/order_created.vi.txt"),
            Self::En => include_str!("../../templates/order_created.en.txt"),
        }
    }

    /// Money as it is written there.
    fn money(self, minor: i64) -> String {
        let (thousands, decimals) = match self {
            Self::Vi => ('.', ','),
            Self::En => (',', '.'),
        };
        let mut text = String::new();
        let units = (minor / MINOR_PER_UNIT).to_string();
        for (index, digit) in units.chars().enumerate() {
            if index > 0 && (units.len() - index).is_multiple_of(3) {
                text.push(thousands);
            }
            text.push(digit);
        }
        format!("{text}{decimals}{:02}", minor % MINOR_PER_UNIT)
    }
}

/// The subject and the body of the confirmation of an order.
pub(super) fn confirmation(order: &OrderCreated, language: Language) -> (String, String) {
    let rendered = render(language.order_created(), |name| match name {
        "order" => Some(order.order_id.to_string()),
        "username" => Some(order.username.clone()),
        "product" => Some(order.product_name.clone()),
        "quantity" => Some(order.quantity.to_string()),
        "unit_price" => Some(language.money(order.unit_price)),
        "total" => Some(language.money(order.total_price)),
        _ => None,
    });
    let (subject, body) = rendered.split_once('\n').unwrap_or((&rendered, ""));
    (subject.to_owned(), body.to_owned())
}

/// Puts values where their names are, in braces. A value is not looked through again; a name that
/// nobody knows stays.
fn render(template: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let (mut text, mut rest) = (String::new(), template);
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let named = after.split_once('}');
        match named.and_then(|(name, after)| Some((value(name)?, after))) {
            Some((value, after)) => {
                text.push_str(&value);
                rest = after;
            }
            None => {
                text.push('{');
                rest = after;
            }
        }
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_buyer_reads_their_order_in_their_language() {
        let order = OrderCreated {
            id: Uuid::nil(),
            order_id: 7,
            user_id: 1,
            username: "ada {total}".to_owned(),
            product_id: 2,
            product_name: "pen".to_owned(),
            quantity: 1000,
            unit_price: 123_456_789,
            total_price: 123_456_789_000,
        };
        let (subject, body) = confirmation(&order, Language::En);
        assert_eq!(subject, "Your order 7 is confirmed");
        assert!(body.contains("1000 x pen at 1,234,567.89"), "{body}");
        assert!(body.contains("Total: 1,234,567,890.00"), "{body}");
        assert!(body.contains("Hello ada {total},"), "{body}");
        let (subject, body) = confirmation(&order, Language::Vi);
        assert_eq!(subject, "Đơn hàng 7 đã được xác nhận");
        assert!(body.contains("Tổng cộng: 1.234.567.890,00"), "{body}");
        for language in [Language::En, Language::Vi] {
            let (subject, body) = confirmation(&order, language);
            let left = format!("{subject}{body}").replace("{total}", "");
            assert!(!left.contains('{'), "every name is known: {left}");
        }
    }

    #[test]
    fn small_amounts_have_their_decimals() {
        for (minor, text) in [(5, "0.05"), (99_999, "999.99"), (100_000, "1,000.00")] {
            assert_eq!(Language::En.money(minor), text);
        }
    }
}
