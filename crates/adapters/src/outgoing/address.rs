//! Which addresses anybody on the Internet may have, and which belong to a house, a machine or
//! nobody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 blocks that are not globally routable (IANA's registry of special-purpose addresses).
const SPECIAL_V4: &[([u8; 4], u32, &str)] = &[
    ([0, 0, 0, 0], 8, "this network"),
    ([10, 0, 0, 0], 8, "private"),
    ([100, 64, 0, 0], 10, "shared between a provider's customers"),
    ([127, 0, 0, 0], 8, "loopback"),
    ([169, 254, 0, 0], 16, "link-local, among it the metadata of clouds"),
    ([172, 16, 0, 0], 12, "private"),
    ([192, 0, 0, 0], 24, "reserved for protocols"),
    ([192, 0, 2, 0], 24, "for documentation"),
    ([192, 88, 99, 0], 24, "a 6to4 relay"),
    ([192, 168, 0, 0], 16, "private"),
    ([198, 18, 0, 0], 15, "for benchmarks"),
    ([198, 51, 100, 0], 24, "for documentation"),
    ([203, 0, 113, 0], 24, "for documentation"),
    ([224, 0, 0, 0], 4, "multicast"),
    ([240, 0, 0, 0], 4, "reserved"),
];

/// Blocks inside 2000::/3, the only part of IPv6 that is routed globally, that are not.
const SPECIAL_V6: &[(u128, u32, &str)] = &[
    (0x2001_0000 << 96, 23, "reserved for protocols"),
    (0x2001_0db8 << 96, 32, "for documentation"),
    (0x3fff << 112, 20, "for documentation"),
];

/// What an address is that is not globally routable; `None` for one that is. Forms of IPv6 that
/// carry an IPv4 address are judged by the address they carry.
pub fn special(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => special_v4(v4),
        IpAddr::V6(v6) => special_v6(v6),
    }
}

fn special_v4(address: Ipv4Addr) -> Option<&'static str> {
    let within = |(base, length, _): &&([u8; 4], u32, &str)| {
        let differing = address.to_bits() ^ u32::from_be_bytes(*base);
        differing.leading_zeros() >= *length
    };
    SPECIAL_V4.iter().find(within).map(|(_, _, name)| *name)
}

fn special_v6(address: Ipv6Addr) -> Option<&'static str> {
    let bits = address.to_bits();
    if let Some(carried) = carried_v4(bits) {
        return special_v4(carried);
    }
    if let Some(name) = name_outside_global_unicast(bits) {
        return Some(name);
    }
    let within = |(base, length, _): &&(u128, u32, &str)| (bits ^ base).leading_zeros() >= *length;
    SPECIAL_V6.iter().find(within).map(|(_, _, name)| *name)
}

/// The IPv4 address inside an IPv4-mapped (::ffff:0:0/96), NAT64 (64:ff9b::/96) or 6to4
/// (2002::/16) address.
fn carried_v4(bits: u128) -> Option<Ipv4Addr> {
    let low = |shift: u32| Ipv4Addr::from_bits(((bits >> shift) & 0xffff_ffff) as u32);
    match bits >> 32 {
        0xffff | 0x0064_ff9b_0000_0000_0000_0000 => Some(low(0)),
        _ if bits >> 112 == 0x2002 => Some(low(80)),
        _ => None,
    }
}

fn name_outside_global_unicast(bits: u128) -> Option<&'static str> {
    match bits >> 120 {
        0x20..=0x3f => None,
        0xfc | 0xfd => Some("private (unique local)"),
        0xff => Some("multicast"),
        _ if bits >> 118 == 0xfe80 >> 6 => Some("link-local"),
        _ if bits == 1 => Some("loopback"),
        _ if bits == 0 => Some("unspecified"),
        _ => Some("outside the part of IPv6 that is routed"),
    }
}
