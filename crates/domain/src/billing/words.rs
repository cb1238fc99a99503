//! What an invoice's lines say, in the payer's language.

use jiff::civil::Date;
use rust_decimal::Decimal;
use yakin_engine::days::Days;

use super::priced::Item;

/// The language of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    Japanese,
    English,
}

impl Words {
    /// Of a tenant's language; Japanese for every one that is not `en`.
    pub fn of(language: &str) -> Words {
        if language == "en" { Words::English } else { Words::Japanese }
    }

    fn pick<'a>(self, japanese: &'a str, english: &'a str) -> &'a str {
        match self {
            Words::Japanese => japanese,
            Words::English => english,
        }
    }

    /// An item's name.
    pub fn item(self, item: Item) -> &'static str {
        match item {
            Item::Base => self.pick("基本料金", "Base fee"),
            Item::Api => self.pick("API 超過", "API calls over quota"),
            Item::Storage => self.pick("ストレージ超過", "Storage over quota"),
            Item::Cpu => self.pick("CPU 超過", "CPU over quota"),
            Item::Memory => self.pick("メモリ超過", "Memory over quota"),
            Item::Bandwidth => self.pick("通信量超過", "Bandwidth over quota"),
            Item::Users => self.pick("ユーザー数超過", "Users over limit"),
            Item::Engineers => self.pick("エンジニア数超過", "Engineers over limit"),
            Item::Discount => self.pick("割引", "Discount"),
            Item::Correction => self.pick("利用量訂正", "Usage correction"),
            Item::Note => self.pick("備考", "Note"),
        }
    }

    /// The unit an item is sold in; of a line that is one piece, "a piece".
    pub fn unit(self, item: Item) -> &'static str {
        match item {
            Item::Base => self.pick("か月", "months"),
            Item::Api => self.pick("1,000回", "1,000 calls"),
            Item::Storage | Item::Bandwidth => "GB",
            Item::Cpu => self.pick("時間", "hours"),
            Item::Memory => self.pick("GB時間", "GB-hours"),
            Item::Users | Item::Engineers => self.pick("名", "heads"),
            Item::Discount | Item::Correction | Item::Note => self.piece(),
        }
    }

    /// The unit of a line that is one piece.
    pub fn piece(self) -> &'static str {
        self.pick("式", "lot")
    }

    /// "Base fee Standard (2026-10)".
    pub fn base(self, plan: &str, when: &str) -> String {
        format!("{} {plan} ({when})", self.item(Item::Base))
    }

    /// The later months of a cycle, billed in advance.
    pub fn in_advance(self, first: Days, last: Days) -> String {
        format!("{} {first}..{last}", self.pick("前払", "in advance"))
    }

    /// How much of a metered item was used, of what was included.
    pub fn metered(
        self,
        item: Item,
        days: Days,
        gauge: bool,
        used: Decimal,
        quota: Decimal,
    ) -> String {
        let name = self.item(item);
        let unit = if item == Item::Api { self.pick("回", "calls") } else { self.unit(item) };
        match self {
            Words::Japanese => {
                let word = if gauge { "平均" } else { "使用" };
                format!("{name} ({days}、{word} {used} {unit}、無料枠 {quota} {unit})")
            }
            Words::English => {
                let word = if gauge { "average" } else { "used" };
                format!("{name} ({days}, {word} {used} {unit}, included {quota} {unit})")
            }
        }
    }

    /// Heads beyond a limit: their peak, the first day of it, and the limit.
    pub fn seats(self, item: Item, (peak, day): (i64, Date), limit: i32) -> String {
        let name = self.item(item);
        match self {
            Words::Japanese => format!("{name} (最大 {peak}名 {day}、上限 {limit}名)"),
            Words::English => format!("{name} (peak {peak} on {day}, included {limit})"),
        }
    }

    /// Days without a record that a person released; `more` are not named.
    pub fn released_days(self, named: &[String], more: usize) -> String {
        match self {
            Words::Japanese => {
                let rest = if more > 0 { format!("ほか {more} 日") } else { String::new() };
                let days = named.join("、");
                format!("{days}{rest} は利用記録がなく、承認により 0 として計算")
            }
            Words::English => {
                let rest = if more > 0 { format!(" and {more} more days") } else { String::new() };
                let days = named.join(", ");
                format!("no usage recorded on {days}{rest}: counted as 0 by approval")
            }
        }
    }

    /// The correction of an earlier month.
    pub fn correction(self, month: Days) -> String {
        format!("{month} {}", self.item(Item::Correction))
    }

    /// A credit that is larger than this invoice.
    pub fn carried_over(self, title: &str, amount: Decimal) -> String {
        match self {
            Words::Japanese => format!("{title} {amount} は次回に繰越"),
            Words::English => format!("{title} {amount} is carried over to the next invoice"),
        }
    }

    /// A line of an adjustment.
    pub fn difference(self, month: Days, item: Item) -> String {
        format!("{month} {} {}", self.item(item), self.pick("差額", "difference"))
    }

    /// A month as a person writes it.
    pub fn month(self, month: Days) -> String {
        let (year, number) = (month.start.year(), month.start.month());
        match self {
            Words::Japanese => format!("{year}年{number}月"),
            Words::English => {
                const NAMES: [&str; 12] = [
                    "January",
                    "February",
                    "March",
                    "April",
                    "May",
                    "June",
                    "July",
                    "August",
                    "September",
                    "October",
                    "November",
                    "December",
                ];
                let name = usize::try_from(number - 1).ok().and_then(|n| NAMES.get(n));
                format!("{} {year}", name.copied().unwrap_or_default())
            }
        }
    }

    /// An amount of money in a sentence: `50,578円`, `USD 120.00`.
    pub fn money(self, amount: Decimal, currency: &str) -> String {
        let text = grouped(amount);
        match (self, currency) {
            (Words::Japanese, "JPY") => format!("{text}円"),
            _ => format!("{currency} {text}"),
        }
    }
}

/// A number with commas between its thousands.
pub(crate) fn grouped(amount: Decimal) -> String {
    let text = amount.abs().to_string();
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), None), |(w, r)| (w, Some(r)));
    let mut out = String::new();
    for (n, digit) in whole.chars().enumerate() {
        if n > 0 && (whole.len() - n).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    let rest = rest.map(|r| format!(".{r}")).unwrap_or_default();
    let sign = if amount.is_sign_negative() && !amount.is_zero() { "-" } else { "" };
    format!("{sign}{out}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_and_months_read_as_each_language_writes_them() {
        let october = Days::month_of(jiff::civil::date(2026, 10, 7));
        let amount = Decimal::new(5_057_800, 2);
        assert_eq!(Words::English.money(amount, "USD"), "USD 50,578.00");
        assert_eq!(Words::Japanese.money(Decimal::from(-1_050_578), "JPY"), "-1,050,578円");
        assert_eq!(Words::Japanese.month(october), "2026年10月");
        assert_eq!(Words::English.month(october), "October 2026");
    }
}
