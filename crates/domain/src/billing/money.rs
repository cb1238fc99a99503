//! Money: currencies with their minor units, the two roundings invoices know, and decimal arithmetic that never
//! wraps, panics or passes through a float.

use rust_decimal::{Decimal, RoundingStrategy};

use super::BillingError;

/// Digits kept before a rounding that decides: division ends after 28 digits, and a sum of thirds that makes a half
/// must be seen as a half.
const GUARD_DIGITS: u32 = 12;

/// A currency whose minor unit is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Currency {
    /// ISO 4217 code.
    pub code: &'static str,
    /// Digits of the minor unit: 0 for yen, 2 for dollars and cents.
    pub digits: u32,
}

impl Currency {
    const KNOWN: [Currency; 2] =
        [Currency { code: "JPY", digits: 0 }, Currency { code: "USD", digits: 2 }];

    /// The currency of that code; an unknown one is never guessed.
    pub fn of(code: &str) -> Result<Currency, BillingError> {
        Currency::KNOWN
            .into_iter()
            .find(|c| c.code == code)
            .ok_or_else(|| BillingError::blocked(format!("currency '{code}' is unknown")))
    }

    /// Half-up to the minor unit: the rule for line amounts.
    pub fn round(self, amount: Decimal) -> Decimal {
        half_up(amount, self.digits)
    }

    /// Down to the minor unit (a credit towards zero): the rule for tax.
    pub fn round_down(self, amount: Decimal) -> Decimal {
        let guarded = amount.round_dp(GUARD_DIGITS);
        with_digits(
            guarded.round_dp_with_strategy(self.digits, RoundingStrategy::ToZero),
            self.digits,
        )
    }
}

/// `value` rounded half-up (away from zero for a half) to `digits` decimals, written with all of them.
pub fn half_up(value: Decimal, digits: u32) -> Decimal {
    let guarded = value.round_dp(GUARD_DIGITS);
    with_digits(
        guarded.round_dp_with_strategy(digits, RoundingStrategy::MidpointAwayFromZero),
        digits,
    )
}

/// The smallest whole number not below `value`: "per started unit".
pub fn started(value: Decimal) -> Decimal {
    value.round_dp(GUARD_DIGITS).ceil()
}

/// One spelling per value, so that equal inputs give equal bytes; a negative zero is a zero.
fn with_digits(mut value: Decimal, digits: u32) -> Decimal {
    value.rescale(digits);
    if value.is_zero() {
        value.set_sign_positive(true);
    }
    value
}

/// Arithmetic that reports an overflow as an error.
pub trait Exact: Sized {
    fn plus(self, other: impl Into<Decimal>) -> Result<Decimal, BillingError>;
    fn minus(self, other: impl Into<Decimal>) -> Result<Decimal, BillingError>;
    fn times(self, other: impl Into<Decimal>) -> Result<Decimal, BillingError>;
    /// Division to 28 significant digits; rounds only there.
    fn over(self, other: impl Into<Decimal>) -> Result<Decimal, BillingError>;
}

impl Exact for Decimal {
    fn plus(self, other: impl Into<Decimal>) -> Result<Decimal, BillingError> {
        self.checked_add(other.into()).ok_or(BillingError::Overflow)
    }
    fn minus(self, other: impl Into<Decimal>) -> Result<Decimal, BillingError> {
        self.checked_sub(other.into()).ok_or(BillingError::Overflow)
    }
    fn times(self, other: impl Into<Decimal>) -> Result<Decimal, BillingError> {
        self.checked_mul(other.into()).ok_or(BillingError::Overflow)
    }
    fn over(self, other: impl Into<Decimal>) -> Result<Decimal, BillingError> {
        self.checked_div(other.into()).ok_or(BillingError::Overflow)
    }
}

/// The sum, or an overflow.
pub fn sum(amounts: impl IntoIterator<Item = Decimal>) -> Result<Decimal, BillingError> {
    amounts.into_iter().try_fold(Decimal::ZERO, |total, amount| total.plus(amount))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_made_of_thirds_is_still_a_half() {
        let third = Decimal::ONE / Decimal::from(3);
        let sixth = Decimal::ONE / Decimal::from(6);
        assert_eq!(half_up(third + sixth, 0), Decimal::ONE);
        let two_thirds = Decimal::TWO / Decimal::from(3); // its 28th digit is rounded up
        assert_eq!(started(two_thirds * Decimal::from(3)), Decimal::TWO);
    }

    #[test]
    fn tax_rounds_down_and_a_credit_towards_zero() {
        let yen = Currency::of("JPY").unwrap();
        assert_eq!(yen.round_down(Decimal::new(315, 1)), Decimal::from(31));
        assert_eq!(yen.round_down(Decimal::new(-315, 1)), Decimal::from(-31));
        assert_eq!(yen.round(Decimal::new(-25, 1)), Decimal::from(-3));
        assert_eq!(yen.round(Decimal::new(-4, 1)).to_string(), "0");
        assert_eq!(Currency::of("USD").unwrap().round(Decimal::new(1, 1)).to_string(), "0.10");
    }
}
