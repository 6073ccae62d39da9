//! Makes the calls that every client makes: client HOST WRITE_KEY COUNT.

use segment::message::{Alias, Group, Identify, Page, Screen, Track, User};
use segment::{AutoBatcher, Batcher, HttpClient};
use serde_json::json;
use time::{format_description::well_known::Rfc3339, macros::datetime, Duration};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, host, write_key, count] = &arguments[..] else {
        return Err("client HOST WRITE_KEY COUNT".into());
    };
    // snippet
    let client = HttpClient::new(reqwest::Client::new(), host.clone());
    // end
    let mut batcher = AutoBatcher::new(client, Batcher::new(None), write_key.clone());
    for n in 0..count.parse::<u32>()? {
        let at = datetime!(2026-03-01 09:00 UTC) + Duration::seconds(n.into());
        let timestamp = Some(at);
        let user = || User::UserId {
            user_id: format!("user-{n}"),
        };
        let traits = json!({ "n": n, "name": "Zoë ☕", "plan": "pro" });
        batcher
            .push(Identify {
                user: user(),
                traits,
                timestamp,
                ..Default::default()
            })
            .await?;
        let properties = json!({
            "n": n,
            "total": f64::from(n) + 0.25,
            "big": 9007199254740991u64,
            "name": "Zoë ☕",
            "orderedAt": at.format(&Rfc3339)?,
            "address": { "city": "東京", "lines": ["1", "2"] },
            "products": [{ "sku": format!("sku-{n}"), "quantity": 2 }],
        });
        let event = "Order Completed".to_owned();
        batcher
            .push(Track {
                user: user(),
                event,
                properties,
                timestamp,
                ..Default::default()
            })
            .await?;
        let (name, properties) = ("Home".to_owned(), json!({ "n": n }));
        batcher
            .push(Page {
                user: user(),
                name,
                properties,
                timestamp,
                ..Default::default()
            })
            .await?;
        let (name, properties) = ("Home".to_owned(), json!({ "n": n }));
        batcher
            .push(Screen {
                user: user(),
                name,
                properties,
                timestamp,
                ..Default::default()
            })
            .await?;
        let (group_id, traits) = (format!("group-{n}"), json!({ "n": n }));
        batcher
            .push(Group {
                user: user(),
                group_id,
                traits,
                timestamp,
                ..Default::default()
            })
            .await?;
        let previous_id = format!("anonymous-{n}");
        batcher
            .push(Alias {
                user: user(),
                previous_id,
                timestamp,
                ..Default::default()
            })
            .await?;
    }
    batcher.flush().await?;
    Ok(())
}
