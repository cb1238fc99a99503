//! What reports say, in the reader's language.

use jiff::civil::Date;
use yakin_engine::days::{Days, after};

use crate::billing::words;

/// The language of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words(words::Words);

macro_rules! say {
    ($($name:ident: $japanese:literal, $english:literal;)*) => {
        /// A phrase.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Say { $(#[doc = $english] $name),* }

        impl Say {
            const fn pair(self) -> (&'static str, &'static str) {
                match self { $(Say::$name => ($japanese, $english)),* }
            }
        }
    };
}

say! {
    CompanyReport: "月次利用レポート", "Monthly usage report";
    SystemReport: "月次システムレポート", "Monthly system report";
    EngineerReport: "月次エンジニア活動レポート", "Monthly engineer activity report";
    RevenueReport: "月次売上レポート", "Monthly revenue report";
    WholeService: "サービス全体", "The whole service";
    Period: "対象期間", "Period";
    DaysMeasured: "測定できた日 / 対象日", "Days measured / expected";
    DaysRecorded: "記録のある日数", "Days recorded";
    CompanyCode: "企業コード", "Company code";
    CompanyName: "企業名", "Company";
    People: "利用者とエンジニア", "Users and engineers";
    UsersEnd: "登録利用者 (月末)", "Users at month's end";
    UsersPeak: "登録利用者 (最大)", "Users, peak";
    ActiveUsers: "利用した人", "Active users";
    ActiveMean: "利用した人 (1日平均)", "Active users, daily mean";
    EngineersEnd: "登録エンジニア (月末)", "Engineers at month's end";
    EngineersPeak: "登録エンジニア (最大)", "Engineers, peak";
    WorkingMean: "稼働・更新のあったエンジニア (1日平均)", "Working or updated engineers, daily mean";
    ActiveByDay: "日ごとの利用した人", "Active users by day";
    Use: "サービスの利用", "Use of the service";
    Logins: "ログイン", "Logins";
    ApiCalls: "API 呼び出し", "API calls";
    Mails: "送信メール", "Mails sent";
    LoginsByDay: "日ごとのログイン", "Logins by day";
    OffersTitle: "定期アプローチ", "Standing offers";
    Offers: "提案した回", "Offers made";
    Offered: "提案したエンジニア (延べ)", "Engineers offered (in all)";
    NoMatch: "該当なしの回", "Without a match";
    FunnelDays: "効果を集計した日数", "Days counted";
    Letters: "提案メール", "Offer mails";
    LettersTaken: "受け取られた", "Taken by a mail server";
    TakenRate: "受け取られた割合", "Share taken";
    Opened: "開封", "Opened";
    OpenedRate: "開封率", "Share opened";
    Replied: "返信", "Answered";
    RepliedRate: "返信率", "Share answered";
    Met: "面談", "Led to a meeting";
    MetRate: "面談率", "Share with a meeting";
    Contracted: "成約", "Led to a contract";
    ContractedRate: "成約率", "Share with a contract";
    FunnelNote: "割合は提案メールの数に対するものです。送った日から30日以内の反応を、集計のたびに数え直します。まだ30日たっていない日の数は、これから増えることがあります。", "Shares are of the offer mails. What happens within thirty days of sending is counted anew each night; days that are younger may still gain.";
    FunnelMissing: "アプローチの効果はこの月に集計されていません。", "What came of offers was not counted in this month.";
    OpensUntracked: "開封はこの月に計測していません。", "Openings were not tracked in this month.";
    OpensPartly: "開封は一部の日だけ計測しました。開封率はその日に送った提案メールに対するものです。", "Openings were tracked on some days only; their share is of the mails of those days.";
    Storage: "保管量", "Storage";
    StoragePeak: "保管量 最大 (MB)", "Storage, peak (MB)";
    StorageMean: "保管量 平均 (MB)", "Storage, mean (MB)";
    StorageEnd: "保管量 月末 (MB)", "Storage at month's end (MB)";
    StorageDay: "保管量 (MB)", "Storage (MB)";
    Megabytes: "1 MB = 1,048,576 バイト", "1 MB = 1,048,576 bytes";
    Features: "よく使われた機能", "Top features";
    NoFeatures: "この月に使われた機能の記録はありません。", "No use of a feature is recorded in this month.";
    Rank: "順位", "Rank";
    Feature: "機能", "Feature";
    Uses: "利用回数", "Uses";
    UsesBefore: "前月", "Month before";
    EachDay: "日ごとの記録", "Day by day";
    Day: "日付", "Day";
    CompaniesInForce: "この月に契約のあった企業", "Companies in force in the month";
    CompaniesNew: "新しい企業", "New companies";
    CompaniesLost: "契約を終えた企業", "Companies lost";
    CompaniesEnd: "企業数 (月末)", "Companies at month's end";
    Answers: "応答", "Requests and answers";
    Requests: "リクエスト", "Requests";
    OfThemCompanies: "うち企業のもの", "Of them by companies";
    ServerErrors: "サーバーエラー (5xx)", "Server errors (5xx)";
    ErrorShare: "エラーの割合", "Error rate";
    ResponseMean: "応答時間 平均 (ms)", "Response time, mean (ms)";
    ResponseWorst: "95% 応答時間の最悪の日 (ms)", "Worst day's 95th percentile (ms)";
    ResponseDay: "95% 応答時間 (ms)", "95th percentile (ms)";
    RequestsByDay: "日ごとのリクエスト", "Requests by day";
    Uptime: "稼働率", "Uptime";
    Probes: "稼働確認の回数", "Availability probes";
    UptimeMissing: "稼働率は、この月に稼働確認の記録がないため載せていません。", "No availability probe is recorded in this month, therefore no uptime is shown.";
    UptimeNote: "稼働率は、外からの稼働確認のうち正常だったものの割合です (切り捨て)。確認のない日は含みません。", "Uptime is the share of good availability probes, rounded down. Days without probes are left out.";
    EachCompany: "企業ごと", "Company by company";
    Activity: "活動", "Activity";
    ProfileUpdates: "プロフィール更新", "Profile updates";
    SheetsViewed: "スキルシート閲覧", "Skillsheets viewed";
    SheetsDownloaded: "スキルシート出力", "Skillsheets downloaded";
    StatusChanges: "状態の変更", "Changes of state";
    States: "状態の移り変わり", "Changes of state";
    WaitsEnded: "終わった待機", "Waits ended";
    BenchDays: "待機日数 平均", "Bench days, mean";
    BenchNote: "待機日数は、この月に終わった待機の、待機になった日から抜けた日までの日数です。始まりの記録がない待機は数えません。", "Bench days are those from becoming idle to leaving it, of waits that ended in the month. A wait without a recorded beginning is not counted.";
    Ending: "終了予定のアサイン", "Assignments that end";
    ToWaiting: "待機になった", "Became idle";
    FromWaiting: "待機から稼働へ", "Idle to working";
    Within30: "30日以内", "Within 30 days";
    Within60: "31〜60日", "31 to 60";
    Within90: "61〜90日", "61 to 90";
    Sum: "合計", "Sum";
    Revenue: "売上", "Revenue";
    Invoices: "請求書", "Invoices";
    InvoicedCompanies: "企業", "Companies";
    Subtotal: "税抜", "Excl. tax";
    Tax: "消費税", "Tax";
    Total: "請求額", "Invoiced total";
    MeanOfCompany: "1社あたり", "Mean per company";
    ContractsInForce: "契約 (月末)", "Contracts at month's end";
    ContractsNew: "新規の契約", "New contracts";
    ContractsLost: "終わった契約", "Contracts ended";
    ContractsChanged: "プランを変えた契約", "Contracts with another plan";
    Recurring: "月額基本料金の合計", "Recurring base fees";
    RecurringNote: "請求額は発行済みの請求書の合計で、無効のものは含みません。月額基本料金の合計は、月末に有効な契約の基本料金の和です。", "Totals are those of issued invoices; void ones are left out. Recurring base fees are the sum of the base fees of contracts in force at month's end.";
    ByPlan: "プラン別", "By plan";
    Plan: "プラン", "Plan";
    UnknownPlan: "プランなし", "Without a plan";
    Currency: "通貨", "Currency";
    EachInvoice: "請求書ごと", "Invoice by invoice";
    InvoiceNumber: "請求書番号", "Invoice no.";
    InvoiceKind: "種類", "Kind";
    Invoice: "請求", "Invoice";
    Adjustment: "修正", "Adjustment";
    MadeOn: "作成日", "Made on";
    Cover: "表紙", "Cover";
}

impl Words {
    /// Of a language; Japanese for every one that is not `en`.
    pub fn of(language: &str) -> Words {
        Words(words::Words::of(language))
    }

    fn is_japanese(self) -> bool {
        self.0 == words::Words::Japanese
    }

    /// The language.
    pub fn language(self) -> &'static str {
        if self.is_japanese() { "ja" } else { "en" }
    }

    /// The phrase.
    pub fn say(self, what: Say) -> &'static str {
        let (japanese, english) = what.pair();
        if self.is_japanese() { japanese } else { english }
    }

    /// See [`words::Words::month`].
    pub fn month(self, month: Days) -> String {
        self.0.month(month)
    }

    /// See [`words::Words::money`].
    pub fn money(self, amount: rust_decimal::Decimal, currency: &str) -> String {
        self.0.money(amount, currency)
    }

    pub(super) fn made_on(self) -> &'static str {
        self.say(Say::MadeOn)
    }

    pub(super) fn cover(self) -> &'static str {
        self.say(Say::Cover)
    }

    pub(super) fn day(self) -> &'static str {
        self.say(Say::Day)
    }

    /// The head of a comparison.
    pub(super) fn compared(self) -> [&'static str; 5] {
        if self.is_japanese() {
            ["項目", "当月", "前月", "前月との差", "前年同月"]
        } else {
            ["Figure", "This month", "Month before", "Change", "Same month last year"]
        }
    }

    /// First and last day.
    pub fn from_to(self, days: Days) -> String {
        let last = after(days.end, -1);
        if self.is_japanese() {
            format!("{} 〜 {last}", days.start)
        } else {
            format!("{} – {last}", days.start)
        }
    }

    /// Days that were not measured, or not whole.
    pub fn incomplete_days(self, count: usize, named: &str) -> String {
        if self.is_japanese() {
            format!(
                "記録のない日、欠けのある日が {count} 日あります: {named}。合計と平均は残りの日によります。"
            )
        } else {
            format!(
                "{count} days are not recorded, or not whole: {named}. Sums and means are of the other days."
            )
        }
    }

    /// Days without any record.
    pub fn days_without(self, count: i64, of: i64) -> String {
        if self.is_japanese() {
            format!("{of} 日のうち {count} 日は記録がありません。")
        } else {
            format!("{count} of {of} days are not recorded.")
        }
    }

    /// Gauges that were measured late.
    pub fn late_gauges(self, count: i64) -> String {
        if self.is_japanese() {
            format!("{count} 日は、登録数や保管量が翌日より後に測られました。")
        } else {
            format!("On {count} days, totals and storage were measured more than a day later.")
        }
    }

    /// Companies whose own report could not be made; `more` are not named.
    pub fn without_report(self, count: usize, named: &str, more: usize) -> String {
        let more = self.more(more);
        if self.is_japanese() {
            format!("{count} 社のレポートは作れませんでした: {named}{more}")
        } else {
            format!("The reports of {count} companies could not be made: {named}{more}")
        }
    }

    /// Companies in force without an invoice of the month.
    pub fn without_invoice(self, count: usize, named: &str, more: usize) -> String {
        let more = self.more(more);
        if self.is_japanese() {
            format!("契約があって請求書のない企業が {count} 社あります: {named}{more}")
        } else {
            format!("{count} companies have contracts and no invoice of the month: {named}{more}")
        }
    }

    /// Contracts whose plan no price list knows.
    pub fn unknown_plans(self, count: usize, named: &str, more: usize) -> String {
        if self.is_japanese() {
            let more = if more > 0 { format!(" ほか {more} 件") } else { String::new() };
            format!(
                "プランが料金表にない契約が {count} 件あり、通貨ごとの契約数と月額基本料金に入っていません: {named}{more}"
            )
        } else {
            let more = self.more(more);
            format!(
                "{count} contracts have a plan that no price list knows, and are in no count or base fee by currency: {named}{more}"
            )
        }
    }

    /// Invoices that wait for a person.
    pub fn held(self, count: i64) -> String {
        if self.is_japanese() {
            format!("請求額のうち {count} 件は承認待ちです。")
        } else {
            format!("{count} of the invoices are held for approval.")
        }
    }

    /// Between which days assignments end.
    pub fn ending_between(self, first: Date, last: Date) -> String {
        if self.is_japanese() {
            format!("確定したアサインのうち、{first} から {last} までに終わるもの。")
        } else {
            format!("Confirmed assignments that end from {first} to {last}.")
        }
    }

    /// An engineer's state.
    pub fn status(self, status: &str) -> &str {
        let (japanese, english) = match status {
            "working" => ("稼働中", "working"),
            "waiting_soon" => ("待機予定", "soon idle"),
            "waiting" => ("待機中", "idle"),
            "on_leave" => ("休職", "on leave"),
            "retired" => ("退職", "retired"),
            other => (other, other),
        };
        if self.is_japanese() { japanese } else { english }
    }

    fn more(self, more: usize) -> String {
        match (more, self.is_japanese()) {
            (0, _) => String::new(),
            (n, true) => format!(" ほか {n} 社"),
            (n, false) => format!(" and {n} more"),
        }
    }
}
