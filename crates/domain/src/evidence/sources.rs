//! The package's tables: which there are, where their rows come from, and what each column is.

/// What a table is and where its rows come from; the statement takes the month's first day and the day after its last.
pub struct Source {
    pub file: &'static str,
    /// What it is, in Japanese.
    pub title: &'static str,
    /// Its columns, and what each is, in Japanese.
    pub columns: &'static [(&'static str, &'static str)],
    pub sql: &'static str,
    /// The engine's tables; the others are read as the platform.
    pub engine: bool,
    /// The column that holds a tenant's id, for which its code is written.
    pub tenant: Option<usize>,
}

/// The tables, in the order of the manifest.
pub const SOURCES: [Source; 4] = [
    Source {
        file: "ledger.csv",
        title: "実行台帳",
        columns: &[
            ("run", "実行の番号"),
            ("batch", "バッチの識別子"),
            ("title", "バッチの名称"),
            (
                "trigger",
                "起動のきっかけ (firing = 予定、operator = 手動、api = API、rerun = 再実行)",
            ),
            ("rerun_of", "再実行の場合、元の実行の番号"),
            ("period_start", "対象期間の初日 (東京の日付)"),
            ("period_last", "対象期間の末日 (この日を含む)"),
            ("dry_run", "試行 (ドライラン) なら true。何も書き込んでいない"),
            ("requested_by", "起動を求めた人またはトークン"),
            ("approved_by", "承認した人またはトークン (承認が要るバッチのみ)"),
            ("run_at", "実行の基準時刻 (予定時刻系の「いま」、日本時間)"),
            ("ended_at", "終了した時刻 (予定時刻系、日本時間)"),
            ("state", "実行の状態 (waiting = 待機、running = 実行中、ended = 終了)"),
            (
                "outcome",
                "結果 (succeeded = 成功、partial = 一部成功、failed = 失敗、skipped = 見送り、cancelled = 取消)",
            ),
            ("reason", "待機や結果の理由"),
            ("rows_written", "書き込んだ行数"),
            ("amount_yen", "金額の合計 (円)"),
            ("tenant", "テナントのコード (全体で一度の実行では空)"),
            (
                "tenant_state",
                "テナント分の結果 (done = 完了、blocked = 保留、failed = 失敗、cancelled = 取消、waiting = 未了)",
            ),
            ("tenant_reused", "すでに済んでいて何もしなかったなら true"),
            ("tenant_attempts", "試みた回数"),
            ("tenant_rows_written", "テナント分で書き込んだ行数"),
            ("tenant_amount", "テナント分の金額"),
            ("tenant_currency", "テナント分の金額の通貨"),
            ("tenant_reason", "テナント分の結果の理由"),
            ("tenant_released_by", "保留を解いた人"),
            ("tenant_ended_at", "テナント分が終わった時刻 (予定時刻系、日本時間)"),
        ],
        sql: include_str!("ledger.sql"),
        engine: true,
        tenant: Some(17),
    },
    Source {
        file: "invoices.csv",
        title: "発行した請求書",
        columns: &[
            ("number", "請求書番号"),
            ("kind", "種類 (invoice = 請求書、adjustment = 調整)"),
            ("adjusts", "調整の場合、元の請求書番号"),
            ("tenant", "取引先 (テナント) のコード"),
            ("counterparty", "請求書に記した取引先の名称"),
            ("period_start", "対象期間の初日"),
            ("period_last", "対象期間の末日 (この日を含む)"),
            ("issued_on", "発行日 (取引年月日)"),
            ("due_on", "支払期限"),
            ("currency", "通貨"),
            ("subtotal", "税抜金額"),
            ("tax", "消費税額"),
            ("total", "税込金額 (取引金額)"),
            (
                "state",
                "状態 (issued = 発行済、paid = 入金済、overdue = 期限超過、void = 無効、draft = 下書き)",
            ),
            ("held_at", "保留した時刻 (日本時間)"),
            ("held_reason", "保留の理由"),
            ("released_by", "保留を解いた人"),
            ("sent_at", "送付した時刻 (日本時間)"),
            ("exported_at", "会計データに出力した時刻 (日本時間)"),
            ("document_key", "書類の保管場所での名前"),
            ("document_sha256", "書類の SHA-256 (作成時に登録した値)"),
            ("usage_digest", "計算のもとにした使用量の要約値"),
            ("run", "発行した実行の番号"),
        ],
        sql: include_str!("invoices.sql"),
        engine: false,
        tenant: None,
    },
    Source {
        file: "audit.csv",
        title: "操作の記録 (監査)",
        columns: &[
            ("act", "操作の番号"),
            ("at", "操作した実時刻 (日本時間、マイクロ秒まで)"),
            ("actor", "操作した人またはトークン"),
            ("action", "操作の種類"),
            ("subject", "操作の対象"),
            ("reason", "理由"),
            ("details", "詳細 (JSON)"),
            ("chain_number", "監査の鎖の中での番号 (欠番なし)"),
            ("chain_digest", "その操作までの鎖の SHA-256"),
        ],
        sql: include_str!("audit.sql"),
        engine: true,
        tenant: None,
    },
    Source {
        file: "backups.csv",
        title: "バックアップ",
        columns: &[
            ("set", "バックアップ一式の識別子"),
            ("kind", "種類 (databases = データベース、files = ファイル)"),
            ("business_date", "業務日"),
            (
                "state",
                "状態 (writing = 書込中、written = 書込済、verified = 検証済、failed = 失敗、expired = 期限切れ)",
            ),
            ("databases", "含まれるデータベース"),
            ("files", "含まれるファイル数"),
            ("bytes", "大きさ (バイト)"),
            ("begun_at", "開始した時刻 (日本時間)"),
            ("ended_at", "終了した時刻 (日本時間)"),
            ("manifest_sha256", "目録の SHA-256"),
            ("verified_at", "最後のバイトまで読み返して検証した時刻 (日本時間)"),
            ("recovery_tested_at", "復元して照合した時刻 (日本時間)"),
            ("copied_at", "別の場所に複製した時刻 (日本時間)"),
            ("copied_to", "複製した先"),
            ("expires_on", "保管期限"),
            ("error", "失敗の理由"),
            ("run", "作成した実行の番号"),
        ],
        sql: include_str!("backups.sql"),
        engine: false,
        tenant: None,
    },
];

impl Source {
    /// The names of its columns.
    pub fn head(&self) -> Vec<&'static str> {
        self.columns.iter().map(|(name, _)| *name).collect()
    }
}

/// The file that explains the columns, for a reader of Japanese.
pub const COLUMNS: &str = "COLUMNS.ja.md";

/// What the file of that name says: each table with each of its columns.
pub fn columns() -> String {
    let mut text = String::from(
        "# 証跡パッケージの列の説明\n\n\
         表はすべて UTF-8 (BOM 付き) の CSV です。日付は東京の日付、時刻は日本時間 (+09:00) で、空欄は該当なしを表します。\
         先頭が `=`、`+`、`-`、`@` などの文字列には、表計算ソフトが数式と見なさないよう `'` を付けています。\n",
    );
    for source in &SOURCES {
        text.push_str(&format!(
            "\n## {} — {}\n\n| 列 | 説明 |\n|---|---|\n",
            source.file, source.title
        ));
        for (name, what) in source.columns {
            text.push_str(&format!("| `{name}` | {what} |\n"));
        }
    }
    text.push_str(
        "\n## MANIFEST.csv — 目録\n\n| 列 | 説明 |\n|---|---|\n\
         | `file` | ファイル名。最後の行 `audit chain head` は監査の鎖の末尾 |\n\
         | `rows` | 見出しを除く行数。この説明では列の数、最後の行では鎖の中の番号 |\n\
         | `sha256` | ファイルの SHA-256。最後の行では `番号:SHA-256` で、`yakin audit verify --head` が後から照合する |\n",
    );
    text
}
