//! What is never called: plain http, private addresses however they are written, and names that
//! lead to them.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use yakin_adapters::outgoing::address::special;
use yakin_adapters::outgoing::{Failed, Found, Lookup, Outgoing};

use super::{now, outgoing, post_to, settings};

/// Answers with what is scripted; the last answer stays.
struct Scripted {
    answers: Mutex<Vec<Vec<IpAddr>>>,
    asked: AtomicUsize,
}

impl Scripted {
    fn new(answers: &[&[&str]]) -> Arc<Scripted> {
        let parse = |texts: &&[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let answers = Mutex::new(answers.iter().map(parse).collect());
        Arc::new(Scripted { answers, asked: AtomicUsize::new(0) })
    }
}

impl Lookup for Scripted {
    fn addresses(&self, _: String) -> Found {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
        Box::pin(async move {
            if answer.is_empty() { Err(std::io::Error::other("no such host")) } else { Ok(answer) }
        })
    }
}

const LOOPBACK: &str = "not public (loopback)";
const PRIVATE: &str = "not public (private)";
const METADATA: &str = "not public (link-local";
const ANY_SPECIAL: &str = "not public (";

const REFUSED: &[(&str, &str)] = &[
    ("http://example.com/x", "plain http"),
    ("http://8.8.8.8/x", "plain http"),
    ("ftp://example.com/x", "ftp is refused"),
    ("file:///etc/passwd", "no host"),
    ("gopher://example.com/x", "no host"),
    ("javascript:alert(1)", "no host"),
    ("data:text/plain,x", "no host"),
    ("hooks.example.com/x", "not a URL"),
    ("", "not a URL"),
    ("https://", "not a URL"),
    ("https://./x", "no host"),
    ("https://user@example.com/x", "user name or password"),
    ("https://user:pass@example.com/x", "user name or password"),
    ("https://:pass@example.com/x", "user name or password"),
    ("https://example.com@127.0.0.1/x", "user name or password"),
    ("https://127.0.0.1/x", LOOPBACK),
    ("https://127.0.0.1:8443/x", LOOPBACK),
    ("https://127.255.255.254/x", LOOPBACK),
    ("https://127.0.0.1./x", LOOPBACK),
    ("https://127.1/x", LOOPBACK),
    ("https://0177.0.0.1/x", LOOPBACK),
    ("https://0x7f.0.0.1/x", LOOPBACK),
    ("https://0x7f000001/x", LOOPBACK),
    ("https://017700000001/x", LOOPBACK),
    ("https://2130706433/x", LOOPBACK),
    ("https://１２７.０.０.１/x", LOOPBACK),
    ("https://①②⑦.⓪.⓪.①/x", LOOPBACK),
    ("https://127。0。0。1/x", LOOPBACK),
    ("https://%31%32%37.0.0.1/x", LOOPBACK),
    ("https:\\\\127.0.0.1\\x", LOOPBACK),
    ("https:127.0.0.1/x", LOOPBACK),
    (" https://127.0.0.1/x", LOOPBACK),
    ("https://127.0.0.1\t/x", LOOPBACK),
    ("https://10.0.0.1/x", PRIVATE),
    ("https://10.255.255.255/x", PRIVATE),
    ("https://172.16.0.1/x", PRIVATE),
    ("https://172.31.255.255/x", PRIVATE),
    ("https://192.168.1.1/x", PRIVATE),
    ("https://100.64.0.1/x", "shared between"),
    ("https://100.127.255.255/x", "shared between"),
    ("https://169.254.169.254/latest/meta-data", METADATA),
    ("https://2852039166/x", METADATA),
    ("https://0.0.0.0/x", ANY_SPECIAL),
    ("https://0/x", ANY_SPECIAL),
    ("https://0.1.2.3/x", ANY_SPECIAL),
    ("https://192.0.0.170/x", ANY_SPECIAL),
    ("https://192.0.2.1/x", "for documentation"),
    ("https://198.51.100.1/x", "for documentation"),
    ("https://203.0.113.1/x", "for documentation"),
    ("https://198.19.255.255/x", "for benchmarks"),
    ("https://192.88.99.1/x", ANY_SPECIAL),
    ("https://224.0.0.1/x", "multicast"),
    ("https://255.255.255.255/x", "reserved"),
    ("https://[::1]/x", LOOPBACK),
    ("https://[0:0:0:0:0:0:0:1]/x", LOOPBACK),
    ("https://[::]/x", "unspecified"),
    ("https://[::ffff:127.0.0.1]/x", LOOPBACK),
    ("https://[::ffff:7f00:1]/x", LOOPBACK),
    ("https://[::ffff:169.254.169.254]/x", METADATA),
    ("https://[::127.0.0.1]/x", ANY_SPECIAL),
    ("https://[::8.8.8.8]/x", ANY_SPECIAL),
    ("https://[64:ff9b::10.0.0.1]/x", PRIVATE),
    ("https://[64:ff9b:1::8.8.8.8]/x", ANY_SPECIAL),
    ("https://[2002:7f00:1::]/x", LOOPBACK),
    ("https://[2002:c0a8:101::1]/x", PRIVATE),
    ("https://[2001::1]/x", ANY_SPECIAL),
    ("https://[2001:db8::1]/x", "for documentation"),
    ("https://[3fff::1]/x", "for documentation"),
    ("https://[fc00::1]/x", "unique local"),
    ("https://[fd12:3456::1]/x", "unique local"),
    ("https://[fe80::1]/x", "link-local"),
    ("https://[fec0::1]/x", ANY_SPECIAL),
    ("https://[ff02::1]/x", "multicast"),
    ("https://[100::1]/x", ANY_SPECIAL),
];

#[tokio::test]
async fn what_is_not_https_to_a_public_address_is_refused() {
    let outgoing = outgoing(&[]);
    for (url, rule) in REFUSED {
        match outgoing.send(post_to(url), now()).await {
            Err(Failed::Refused(reason)) => assert!(reason.contains(rule), "{url}: {reason}"),
            Err(other) => panic!("{url}: {other:?}"),
            Ok(reply) => panic!("{url}: answered {}", reply.status),
        }
    }
}

#[tokio::test]
async fn names_that_lead_to_private_addresses_are_refused() {
    let answers: &[&[&str]] = &[
        &["127.0.0.1"],
        &["10.1.2.3", "192.168.0.1"],
        &["::ffff:10.0.0.1"],
        &["fd00::1", "127.0.0.1"],
        &["169.254.169.254"],
    ];
    let hosts = ["hooks.example.com", "hooks.example.com.", "ｈｏｏｋｓ.example.com", "a.b", "c.d"];
    for (answer, host) in answers.iter().zip(hosts) {
        let lookup = Scripted::new(&[answer]);
        let outgoing = Outgoing::with_lookup(&settings(&[]), lookup.clone()).unwrap();
        let failed = outgoing.send(post_to(&format!("https://{host}/x")), now()).await;
        let Err(Failed::Refused(reason)) = failed.map(|r| r.status) else { panic!("{host}") };
        assert!(reason.contains("not public") && reason.contains("outgoing.allow"), "{reason}");
        assert_eq!(lookup.asked.load(Ordering::SeqCst), 1);
    }
    // the machine's own resolver is no way around
    let failed = outgoing(&[]).send(post_to("https://localhost/x"), now()).await;
    let failed = failed.map(|reply| reply.status);
    assert!(matches!(&failed, Err(Failed::Refused(r)) if r.contains(LOOPBACK)), "{failed:?}");
}

#[tokio::test]
async fn the_address_that_is_judged_is_the_one_that_is_called() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("https://rebinding.example.com:{port}/x");

    let lookup = Scripted::new(&[&[], &["127.0.0.1"]]);
    let outgoing = Outgoing::with_lookup(&settings(&[]), lookup.clone()).unwrap();
    let first = outgoing.send(post_to(&url), now()).await.map(|reply| reply.status);
    assert!(matches!(first, Err(Failed::Unreachable(_))), "{first:?}");
    let second = outgoing.send(post_to(&url), now()).await.map(|reply| reply.status);
    assert!(matches!(second, Err(Failed::Refused(_))), "{second:?}");
    // one question a call: no second answer could be another one
    assert_eq!(lookup.asked.load(Ordering::SeqCst), 2);
    assert!(listener.accept().is_err(), "the private address was connected to");
}

#[tokio::test]
async fn the_allow_list_opens_exactly_what_it_names() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let named = format!("inside.example:{port}");
    let other = format!("inside.example:{}", if port == 65535 { 1 } else { port + 1 });
    let try_with = async |allow: &str| {
        let lookup = Scripted::new(&[&["127.0.0.1"]]);
        let settings = super::settings(&[allow]);
        let outgoing = Outgoing::with_lookup(&settings, lookup).unwrap();
        let url = format!("http://INSIDE.example.:{port}/x");
        let sending = tokio::spawn(async move { outgoing.send(post_to(&url), now()).await });
        sending.await.unwrap().map(|reply| reply.status)
    };
    let refused = try_with(&other).await;
    assert!(matches!(&refused, Err(Failed::Refused(r)) if r.contains("plain http")), "{refused:?}");
    assert!(listener.accept().is_err());

    for allow in [named.as_str(), "inside.example", "inside.example.", "Inside.Example"] {
        let connected = std::thread::scope(|scope| {
            listener.set_nonblocking(false).unwrap();
            let accepting = scope.spawn(|| drop(listener.accept().unwrap()));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let result =
                scope.spawn(move || runtime.unwrap().block_on(try_with(allow))).join().unwrap();
            accepting.join().unwrap();
            result
        });
        let open = !matches!(connected, Err(Failed::Refused(_)));
        assert!(open, "{allow}: {connected:?}");
    }
}

#[test]
fn bad_settings_say_which_entry_and_what_was_expected() {
    for entry in ["", "http://a/", "a:99999", "a/b", "::1", "a b", "[::1"] {
        let error = Outgoing::new(&settings(&[entry])).err().map(|error| error.to_string());
        let error = error.unwrap_or_else(|| panic!("{entry:?} was taken"));
        assert!(error.contains(&format!("{entry:?}")) && error.contains("host:port"), "{error}");
    }
    for entry in ["a", "a:1", "127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:8080", "例え.jp"] {
        assert!(Outgoing::new(&settings(&[entry])).is_ok(), "{entry}");
    }
    let mut wrong = settings(&[]);
    wrong.connect_timeout = wrong.timeout;
    assert!(Outgoing::new(&wrong).is_err());
    let mut wrong = settings(&[]);
    wrong.extra_root_certificates = vec!["no certificate".to_owned()];
    assert!(Outgoing::new(&wrong).err().unwrap().to_string().contains("number 1"));
}

#[test]
fn public_addresses_are_not_refused() {
    let public = [
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2606:4700::1111",
        "2400:cb00::1",
        "2620:4f:8000::1",
        "2001:200::1",
        "2003::1",
        "64:ff9b::8.8.8.8",
        "2002:808:808::1",
        "::ffff:8.8.8.8",
    ];
    for address in public {
        assert_eq!(special(address.parse().unwrap()), None, "{address}");
    }
}

/// Whether the standard library has a name for it.
fn known_special(a: Ipv4Addr) -> bool {
    let [first, second, ..] = a.octets();
    a.is_private()
        || a.is_loopback()
        || a.is_link_local()
        || a.is_multicast()
        || a.is_broadcast()
        || a.is_documentation()
        || first == 0
        || first >= 240
        || (first == 100 && second & 0xc0 == 64)
        || (first == 198 && second & 0xfe == 18)
}

fn private_v4() -> impl Strategy<Value = Ipv4Addr> {
    let within = |base: u32, length: u32| {
        any::<u32>().prop_map(move |n| Ipv4Addr::from_bits(base | (n & (u32::MAX >> length))))
    };
    prop_oneof![
        within(0x0a00_0000, 8),
        within(0x7f00_0000, 8),
        within(0xac10_0000, 12),
        within(0xc0a8_0000, 16),
        within(0xa9fe_0000, 16),
        within(0x6440_0000, 10),
    ]
}

/// All the ways in which a URL may spell an IPv4 address.
fn spellings(address: Ipv4Addr) -> Vec<String> {
    let ([a, b, c, d], n) = (address.octets(), address.to_bits());
    let wide: String = address
        .to_string()
        .chars()
        .map(|x| x.to_digit(10).and_then(|x| char::from_u32('０' as u32 + x)).unwrap_or(x))
        .collect();
    vec![
        format!("{address}"),
        format!("{address}."),
        format!("{n}"),
        format!("0x{n:x}"),
        format!("0X{n:08X}"),
        format!("0{n:o}"),
        format!("{a}.{}", n & 0xff_ffff),
        format!("{a}.{b}.{}", n & 0xffff),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}"),
        format!("0x{a:x}.{b}.0{c:o}.{d}"),
        wide.clone(),
        wide.replace('.', "。"),
        format!("[::ffff:{address}]"),
        format!("[::{address}]"),
        format!("[64:ff9b::{address}]"),
        format!("[2002:{:x}:{:x}::1]", n >> 16, n & 0xffff),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_private_address_is_refused_in_any_spelling(address in private_v4()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let lookup = Scripted::new(&[&[]]);
        static OUTGOING: std::sync::OnceLock<Outgoing> = std::sync::OnceLock::new();
        let outgoing = OUTGOING
            .get_or_init(|| Outgoing::with_lookup(&settings(&[]), lookup).unwrap());
        for spelling in spellings(address) {
            let url = format!("https://{spelling}/x");
            let failed = runtime.block_on(outgoing.send(post_to(&url), now()));
            let failed = failed.map(|reply| reply.status);
            prop_assert!(matches!(failed, Err(Failed::Refused(_))), "{url}: {failed:?}");
        }
    }

    #[test]
    fn what_the_standard_library_knows_as_special_is_special(bits in any::<u32>()) {
        let address = Ipv4Addr::from_bits(bits);
        if known_special(address) {
            prop_assert!(special(IpAddr::V4(address)).is_some(), "{address}");
        }
        // forms that carry it are judged alike
        let mapped = IpAddr::V6(address.to_ipv6_mapped());
        prop_assert_eq!(special(mapped), special(IpAddr::V4(address)));
    }
}
