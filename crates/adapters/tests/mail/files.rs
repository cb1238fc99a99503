//! A relay that is a folder.

use std::fs;

use yakin_adapters::Answer;
use yakin_adapters::mail::{Mailer, Relay};

use super::{Ground, letter};

fn names(ground: &Ground) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(ground.0.join("made/here"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn mailer(ground: &Ground) -> Mailer {
    let url = format!("file://{}/made/here", ground.0.display());
    Mailer::new(Relay::new(url, "night@sender.example")).unwrap()
}

#[tokio::test]
async fn letters_become_files() {
    let ground = Ground::new();
    let mailer = mailer(&ground);
    let letter = letter(&mailer, "d-1", "sato@tenant.example");
    let answer = mailer.session().await.unwrap().send(&letter).await;
    let name = "20261031T160000Z-000000-sato@tenant.example.eml";
    assert_eq!(answer, Answer::Sent { receipt: Some(name.to_owned()) });
    assert_eq!(names(&ground), [name]);
    assert_eq!(fs::read(ground.0.join("made/here").join(name)).unwrap(), letter.bytes());
}

#[tokio::test]
async fn no_file_is_ever_replaced() {
    let ground = Ground::new();
    let mut running = Vec::new();
    for _ in 0..4 {
        // each numbers its files from 0, as nodes of their own would
        let mailer = mailer(&ground);
        running.push(tokio::spawn(async move {
            let mut session = mailer.session().await.unwrap();
            for n in 0..10 {
                let answer = session.send(&letter(&mailer, &format!("d-{n}"), "a@b.example")).await;
                assert_eq!(answer.word(), "sent", "{answer:?}");
            }
        }));
    }
    for task in running {
        task.await.unwrap();
    }
    let names = names(&ground);
    assert_eq!(names.len(), 40);
    assert!(names.iter().all(|n| n.ends_with("-a@b.example.eml")), "{names:?}");
}

#[tokio::test]
async fn names_stay_within_the_folder() {
    let ground = Ground::new();
    let mailer = mailer(&ground);
    let mut session = mailer.session().await.unwrap();
    for to in ["/etc/passwd@b.example", "佐藤@b.example", "a/b@c.example"] {
        let answer = session.send(&letter(&mailer, "d-1", to)).await;
        assert_eq!(answer.word(), "sent", "{answer:?}");
    }
    assert_eq!(
        names(&ground),
        [
            "20261031T160000Z-000000-_etc_passwd@b.example.eml",
            "20261031T160000Z-000001-__@b.example.eml",
            "20261031T160000Z-000002-a_b@c.example.eml",
        ]
    );
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_unreachable() {
    let ground = Ground::new();
    ground.file("made", "a file where a folder should be");
    let mailer = mailer(&ground);
    assert_eq!(mailer.probe().await.word(), "unreachable");
    let answer = mailer.session().await.err().unwrap();
    assert!(answer.reason().contains("made/here"), "{answer:?}");
    fs::remove_file(ground.0.join("made")).unwrap();
    assert_eq!(mailer.probe().await, Answer::Sent { receipt: None });
    assert_eq!(names(&ground), [] as [&str; 0]);
}
