//! Customers who come while something fails.

use super::{
    super::asking::{Fate, Verdict, Word, ask},
    BankLoad, PASSWORD, TRIES_WHEN_WELL,
};
use anyhow::Result;
use bank_client::{Answer, Customer};
use serde_json::{Value, json};

/// Customers that come so at the most.
const NEW_MAX: usize = 60;

impl BankLoad<'_> {
    /// Registers somebody new, who is a customer from then on.
    pub(super) async fn register(&self) {
        let number = {
            let mut book = self.book();
            let number = book.registrations.len();
            if number >= NEW_MAX {
                return;
            }
            let name = format!("{}-new-{number}", self.prefix);
            book.registrations.push((name, Verdict::default()));
            number
        };
        self.registered(number, 1).await;
    }

    /// Registers somebody under the same key as before.
    pub(in crate::load) async fn register_again(&self, number: usize) {
        self.registered(number, TRIES_WHEN_WELL).await;
    }

    async fn registered(&self, number: usize, tries: u32) {
        let Some((name, _)) = self.book().registrations.get(number).cloned() else {
            return;
        };
        let credentials = json!({ "username": name, "password": PASSWORD });
        let request = async || {
            let request = self.gateway().post("/api/auth/register");
            request
                .key(&format!("registration-{name}"))
                .json(&credentials)
        };
        let hear = async |answer: Result<Answer>| {
            let mut book = self.book();
            book.answers.count(&answer);
            let word = match &answer {
                Ok(answer) if matches!(answer.status, 200 | 201) => Word::Done,
                Ok(answer) if answer.status < 500 && answer.status != 429 => Word::Odd,
                _ => Word::Nothing,
            };
            if let Some((_, verdict)) = book.registrations.get_mut(number) {
                verdict.hear(word);
            }
            if word == Word::Odd {
                let said = answer.as_ref().map(|answer| (answer.status, &answer.text));
                let said = format!("{said:?}");
                book.odd.push(format!("registration of {name}: {said}"));
            }
            if let (Word::Done, Ok(answer)) = (word, &answer) {
                let text = |field: &str| {
                    let text = answer.body.get(field).and_then(Value::as_str);
                    text.unwrap_or_default().to_owned()
                };
                let customer = Customer {
                    client: self.gateway().clone(),
                    username: name.clone(),
                    id: text("id"),
                    account_number: text("account_number"),
                    // The first request is turned away, and then they log in.
                    session: "none".to_owned(),
                };
                book.customers.push(customer);
            }
            word != Word::Nothing
        };
        ask(tries, request, hear).await;
    }

    /// The registrations whose fate nobody knows.
    pub(in crate::load) fn unknown_registrations(&self) -> Vec<usize> {
        let book = self.book();
        let all = (0_usize..).zip(&book.registrations);
        let unknown = all.filter(|(_, (_, verdict))| verdict.fate() == Fate::Unknown);
        unknown.map(|(number, _)| number).collect()
    }
}
