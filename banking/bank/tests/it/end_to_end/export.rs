//! `/api/account/statement.csv`.

use super::{
    expect::{customer, names},
    live_bank,
};
use crate::program;
use chassis::{Database, settings::PlatformSettings};
use town::{Bank, Customer, Service, database::on_sqlite, history::deposit_many, wait::soon};

const CSV: &str = "/api/account/statement.csv";
/// Entries of a long history: more than all there is room for between the service and a reader who
/// takes nothing.
const LONG: i64 = 200_000;
/// So many are posted at a time: few enough that a busy machine does it long before the database
/// counts as silent.
const AT_A_TIME: i64 = 1_000;

pub(crate) async fn a_statement_is_a_file_for_other_programs(bank: &Bank) {
    let (ada, bob) = (customer(bank, "ada").await, customer(bank, "bob").await);
    ada.transfer(&bob, 1_234, "rent").ok().await.unwrap();
    let file = ada.get(CSV).send().await.unwrap();
    assert_eq!(file.status, 200, "{}", file.text);
    let headers = ["content-type", "content-disposition", "cache-control"];
    let expected = [
        "text/csv; charset=utf-8; header=present",
        "attachment; filename=\"statement.csv\"",
        "no-store",
    ];
    assert_eq!(headers.map(|name| file.header(name)), expected);
    let statement = ada.get("/api/account/statement").ok().await.unwrap();
    let field = |entry: usize, name: &str| {
        let value = statement["items"][entry][name].as_str();
        value.unwrap().to_owned()
    };
    let columns = "number,created_at,kind,amount,balance,counterparty_username,counterparty,\
                   reference,id";
    let rows = [
        columns.to_owned(),
        format!(
            "2,{},transfer,-12.34,987.66,{},{},,{}",
            field(0, "created_at"),
            bob.username,
            bob.account_number,
            field(0, "id")
        ),
        format!(
            "1,{},opening,1000.00,1000.00,,,,{}",
            field(1, "created_at"),
            field(1, "id")
        ),
        String::new(),
    ];
    assert_eq!(file.text, rows.join("\r\n"));
    // Only what is looked for, and a file of nothing.
    let find = async |query: &str| ada.get(&format!("{CSV}?{query}")).send().await.unwrap();
    let found = find(&format!("search={}", bob.username)).await.text;
    assert_eq!(found, format!("{columns}\r\n{}\r\n", rows[1]));
    let none = find("to=2000-01-01T00:00:00Z").await.text;
    assert_eq!(none, format!("{columns}\r\n"));
    names(&find("from=yesterday").await, 400, "from");
}

/// Posts so many deposits to an account, past the service.
pub(super) async fn deposit(database: &str, ada: &Customer, count: i64) {
    let settings = PlatformSettings::with_database(database);
    let migrations = account_service::migrations();
    let database = Database::open(&settings, "account", &migrations).await;
    let database = database.unwrap();
    for _ in 0..count / AT_A_TIME {
        deposit_many(&database, &ada.account_number, AT_A_TIME)
            .await
            .unwrap();
    }
    database.close().await;
}

async fn every_entry_is_in_the_file(bank: &Bank, database: &str) {
    let ada = customer(bank, "ada").await;
    deposit(database, &ada, 20_000).await;
    let file = ada.get(CSV).send().await.unwrap();
    assert_eq!(file.status, 200, "{}", file.text);
    let rows: Vec<_> = file.text.split_terminator("\r\n").collect();
    let numbers = rows
        .iter()
        .skip(1)
        .map(|row| row.split_once(',').unwrap().0);
    let numbers: Vec<i64> = numbers.map(|number| number.parse().unwrap()).collect();
    assert_eq!(numbers, (1..=20_001).rev().collect::<Vec<_>>());
    let last = rows.last().unwrap();
    assert!(last.contains(",opening,1000.00,1000.00,"), "{last}");
    assert!(rows[1].contains(",deposit,0.01,1200.00,"), "{}", rows[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_has_every_entry_of_a_bank_in_one_process() {
    on_sqlite(async |url| {
        let bank = Bank::embedded_on(program(), url).await.unwrap();
        bank.lent_to(async |bank: &Bank| every_entry_is_in_the_file(bank, url).await)
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_has_every_entry_and_is_cut_off_with_its_service_on_real_servers() {
    let Some(bank) = live_bank().await else {
        return;
    };
    bank.lent_to(async |bank: &Bank| {
        let database = bank.site().unwrap().database_url();
        every_entry_is_in_the_file(bank, database).await;
        a_killed_service_cuts_the_file_off(bank, database).await;
    })
    .await
    .unwrap();
}

async fn a_killed_service_cuts_the_file_off(bank: &Bank, database: &str) {
    let ada = customer(bank, "ada").await;
    deposit(database, &ada, LONG).await;
    let url = bank.client().url().join(CSV).unwrap();
    let request = reqwest::Client::new().get(url);
    let mut response = request
        .header("X-Session", &ada.session)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let mut read = response.chunk().await.unwrap().unwrap().to_vec();
    bank.kill_all(Service::Account);
    let ended = soon("it ends", async {
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => read.extend(chunk),
                ended => break ended,
            }
        }
    });
    let rows = read_of(ended.await, &read);
    assert!(rows < LONG, "all of it was on its way");
    bank.start_all(Service::Account).unwrap();
    bank.ready().await.unwrap();
}

/// The rows of a file that was cut off.
fn read_of<T>(ended: Result<T, reqwest::Error>, read: &[u8]) -> i64 {
    assert!(ended.is_err(), "it looks whole");
    let rows = read.iter().filter(|byte| **byte == b'\n').count();
    i64::try_from(rows).unwrap()
}
