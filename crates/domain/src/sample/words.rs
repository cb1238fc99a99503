//! The word lists the sample is made of: common names of people, stems and endings of invented companies, skills.

/// Common family names: kanji and romanised.
pub(super) const FAMILY: [(&str, &str); 40] = [
    ("佐藤", "sato"),
    ("鈴木", "suzuki"),
    ("高橋", "takahashi"),
    ("田中", "tanaka"),
    ("伊藤", "ito"),
    ("渡辺", "watanabe"),
    ("山本", "yamamoto"),
    ("中村", "nakamura"),
    ("小林", "kobayashi"),
    ("加藤", "kato"),
    ("吉田", "yoshida"),
    ("山田", "yamada"),
    ("佐々木", "sasaki"),
    ("山口", "yamaguchi"),
    ("松本", "matsumoto"),
    ("井上", "inoue"),
    ("木村", "kimura"),
    ("林", "hayashi"),
    ("斎藤", "saito"),
    ("清水", "shimizu"),
    ("山崎", "yamazaki"),
    ("森", "mori"),
    ("池田", "ikeda"),
    ("橋本", "hashimoto"),
    ("阿部", "abe"),
    ("石川", "ishikawa"),
    ("前田", "maeda"),
    ("藤田", "fujita"),
    ("小川", "ogawa"),
    ("岡田", "okada"),
    ("後藤", "goto"),
    ("長谷川", "hasegawa"),
    ("村上", "murakami"),
    ("近藤", "kondo"),
    ("石井", "ishii"),
    ("坂本", "sakamoto"),
    ("遠藤", "endo"),
    ("青木", "aoki"),
    ("藤井", "fujii"),
    ("西村", "nishimura"),
];

/// Common given names: kanji and romanised.
pub(super) const GIVEN: [(&str, &str); 40] = [
    ("太郎", "taro"),
    ("花子", "hanako"),
    ("健太", "kenta"),
    ("美咲", "misaki"),
    ("翔", "sho"),
    ("葵", "aoi"),
    ("大輔", "daisuke"),
    ("陽子", "yoko"),
    ("拓也", "takuya"),
    ("恵", "megumi"),
    ("直樹", "naoki"),
    ("由美", "yumi"),
    ("誠", "makoto"),
    ("さくら", "sakura"),
    ("浩", "hiroshi"),
    ("麻衣", "mai"),
    ("亮", "ryo"),
    ("彩", "aya"),
    ("学", "manabu"),
    ("愛", "ai"),
    ("和也", "kazuya"),
    ("智子", "tomoko"),
    ("隆", "takashi"),
    ("真由美", "mayumi"),
    ("悠斗", "yuto"),
    ("結衣", "yui"),
    ("剛", "tsuyoshi"),
    ("久美子", "kumiko"),
    ("修", "osamu"),
    ("千尋", "chihiro"),
    ("蓮", "ren"),
    ("凛", "rin"),
    ("哲也", "tetsuya"),
    ("裕子", "yuko"),
    ("純", "jun"),
    ("奈々", "nana"),
    ("聡", "satoshi"),
    ("明美", "akemi"),
    ("湊", "minato"),
    ("楓", "kaede"),
];

/// Stems of Japanese company names.
pub(super) const STEM: [(&str, &str); 48] = [
    ("青葉", "aoba"),
    ("若草", "wakakusa"),
    ("朝霧", "asagiri"),
    ("白樺", "shirakaba"),
    ("夕凪", "yunagi"),
    ("みなも", "minamo"),
    ("北斗", "hokuto"),
    ("常盤", "tokiwa"),
    ("千歳", "chitose"),
    ("小春", "koharu"),
    ("若竹", "wakatake"),
    ("春日台", "kasugadai"),
    ("山吹", "yamabuki"),
    ("浅葱", "asagi"),
    ("藍染", "aizome"),
    ("椿", "tsubaki"),
    ("桔梗", "kikyo"),
    ("楠", "kusunoki"),
    ("欅", "keyaki"),
    ("桐生野", "kiryuno"),
    ("蔵前", "kuramae"),
    ("岬", "misaki"),
    ("渚", "nagisa"),
    ("汐見", "shiomi"),
    ("月見野", "tsukimino"),
    ("星見", "hoshimi"),
    ("暁", "akatsuki"),
    ("黎明", "reimei"),
    ("飛鳥", "asuka"),
    ("若葉", "wakaba"),
    ("緑川", "midorikawa"),
    ("紅葉坂", "momijizaka"),
    ("柏木", "kashiwagi"),
    ("榛名", "haruna"),
    ("雲雀", "hibari"),
    ("翡翠", "hisui"),
    ("つばめ", "tsubame"),
    ("ひなた", "hinata"),
    ("こだま", "kodama"),
    ("いぶき", "ibuki"),
    ("ふたば", "futaba"),
    ("すずらん", "suzuran"),
    ("なごみ", "nagomi"),
    ("あけぼの", "akebono"),
    ("うみかぜ", "umikaze"),
    ("やまびこ", "yamabiko"),
    ("せせらぎ", "seseragi"),
    ("ほしぞら", "hoshizora"),
];

/// Endings of Japanese company names.
pub(super) const ENDING: [(&str, &str); 12] = [
    ("システムズ", "systems"),
    ("ソフト", "soft"),
    ("テクノロジー", "technology"),
    ("ネットワークス", "networks"),
    ("デジタル", "digital"),
    ("ワークス", "works"),
    ("情報", "joho"),
    ("ソリューションズ", "solutions"),
    ("データ", "data"),
    ("ラボ", "labs"),
    ("エンジニアリング", "engineering"),
    ("開発", "kaihatsu"),
];

/// First words of invented American companies.
pub(super) const US_STEM: [&str; 16] = [
    "Maple", "Harbor", "Granite", "Prairie", "Cedar", "Juniper Hill", "Blue Heron", "Lantern",
    "Copper Creek", "Willow", "Summit Ridge", "Foxglove", "Redwood Bay", "Silver Birch", "Canyon",
    "Larkspur",
];

/// Last words of invented American companies.
pub(super) const US_ENDING: [&str; 6] =
    ["Software", "Analytics", "Systems", "Data", "Labs", "Engineering"];

/// Places of invented billing addresses.
pub(super) const PLACE: [&str; 10] = [
    "東京都千代田区見本町",
    "東京都港区例示台",
    "東京都渋谷区架空坂",
    "神奈川県横浜市西区見本本町",
    "埼玉県さいたま市大宮区例示町",
    "愛知県名古屋市中区架空",
    "大阪府大阪市北区見本筋",
    "京都府京都市下京区例示通",
    "福岡県福岡市博多区架空町",
    "宮城県仙台市青葉区見本台",
];

/// Departments, the first ones being those that every company has.
pub(super) const DEPARTMENT: [&str; 10] = [
    "開発部",
    "営業支援部",
    "基盤技術部",
    "品質保証部",
    "データ分析部",
    "クラウド推進部",
    "業務システム部",
    "組込開発部",
    "研究開発室",
    "海外事業部",
];

/// Positions from the bottom up; a tiny company has only the first two.
pub(super) const POSITION: [&str; 6] =
    ["メンバー", "リーダー", "シニアエンジニア", "マネージャー", "部長", "フェロー"];

/// What projects are about; a project is named after one of these and a number.
pub(super) const PROJECT: [&str; 12] = [
    "基幹システム刷新",
    "受発注サイト構築",
    "勤怠管理移行",
    "在庫最適化",
    "会員アプリ改修",
    "データ基盤整備",
    "クラウド移行",
    "検査工程自動化",
    "問い合わせ窓口支援",
    "帳票電子化",
    "配送計画支援",
    "監視運用",
];

/// The skill master. Its length is a prime, so that any step walks through skills without meeting one twice.
pub(super) const SKILL: [&str; 61] = [
    "Java", "Kotlin", "Python", "Rust", "Go", "C", "C++", "C#", "TypeScript", "JavaScript", "PHP",
    "Ruby", "Swift", "Scala", "COBOL", "SQL", "Shell", "HTML/CSS", "React", "Vue.js", "Angular",
    "Node.js", "Spring Boot", "Ruby on Rails", "Django", "Laravel", ".NET", "Flutter", "PostgreSQL",
    "MySQL", "Oracle Database", "SQL Server", "Redis", "MongoDB", "Elasticsearch", "AWS", "Azure",
    "Google Cloud", "Linux", "Windows Server", "Docker", "Kubernetes", "Terraform", "Ansible",
    "Jenkins", "GitHub Actions", "ネットワーク設計", "セキュリティ診断", "要件定義", "基本設計",
    "詳細設計", "テスト設計", "性能試験", "プロジェクト管理", "アジャイル開発", "データ分析",
    "機械学習", "組込み開発", "業務知識 (金融)", "業務知識 (製造)", "業務知識 (流通)",
];

const _: () = assert!(SKILL.len() == 61);
