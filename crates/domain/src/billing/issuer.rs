//! Who issues invoices: `[issuer]` of the configuration, checked before anything is billed.

use serde::{Deserialize, Serialize};

/// The issuer of qualified invoices (適格請求書発行事業者).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Issuer {
    pub name: String,
    pub address: String,
    /// `T` and 13 digits, the first of which is a check digit.
    pub registration_number: String,
    /// Where to pay, as it stands on the invoice.
    pub bank_account: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    name: String,
    address: String,
    registration_number: String,
    bank_account: String,
}

impl TryFrom<Unchecked> for Issuer {
    type Error = String;

    fn try_from(given: Unchecked) -> Result<Issuer, String> {
        for (key, value) in [
            ("name", &given.name),
            ("address", &given.address),
            ("bank_account", &given.bank_account),
        ] {
            if value.trim().is_empty() {
                return Err(format!("{key} is empty, expected text"));
            }
        }
        if !valid_registration_number(&given.registration_number) {
            return Err(format!(
                "registration_number is '{}', expected T and 13 digits with a right check digit",
                given.registration_number
            ));
        }
        let Unchecked { name, address, registration_number, bank_account } = given;
        Ok(Issuer { name, address, registration_number, bank_account })
    }
}

/// `T` + a corporate number of 13 digits whose first is its check digit: 9 − (Σ Pₙ·Qₙ mod 9), where Pₙ are the other
/// twelve digits from the right and Qₙ is 1 for odd, 2 for even n. (The numbering rule of the National Tax Agency's
/// corporate numbers; registration numbers of corporations are made from them, those of persons follow the same form.)
pub fn valid_registration_number(text: &str) -> bool {
    let Some(digits) = text.strip_prefix('T') else { return false };
    let digits: Vec<u32> = digits.chars().filter_map(|c| c.to_digit(10)).collect();
    if digits.len() != 13 || text.len() != 14 {
        return false;
    }
    let sum: u32 = digits[1..].iter().rev().zip([1, 2].iter().cycle()).map(|(p, q)| p * q).sum();
    digits[0] == 9 - sum % 9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_digit_is_verified() {
        // worked by hand: 700110012005 from the right, weights 1,2,…: 5+0+0+4+1+0+0+2+1+0+0+14 = 27 → 9 − 0 = 9
        assert!(valid_registration_number("T9700110012005"));
        assert!(!valid_registration_number("T8700110012005"));
        assert!(!valid_registration_number("9700110012005"));
        assert!(!valid_registration_number("T970011001200"));
    }
}
