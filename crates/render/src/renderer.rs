//! What callers use: a document's name and data in, a PDF out.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::RenderError;
use crate::documents::{Documents, File};
use crate::message::{self, Answer, MAX_DATA_BYTES, Request};
use crate::pool::Pool;

/// More children than processors are of no use.
const MOST_CHILDREN: usize = 64;

/// How and with what documents are rendered.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The program that becomes a child when started with [`CHILD_COMMAND`](crate::CHILD_COMMAND).
    pub program: PathBuf,
    /// The operator's documents: `<document>/<file>` replaces the built-in file of that name.
    pub templates: Option<PathBuf>,
    /// Folders (searched four levels deep) and files of fonts.
    pub fonts: Vec<PathBuf>,
    /// Children at once, at least 1.
    pub children: usize,
    /// For one document, the start of a child included; not the wait for a free child.
    pub timeout: Duration,
    /// How long a child without work is kept.
    pub idle: Duration,
}

impl Settings {
    /// Two children, 30 s a document, kept for 60 s; the fonts of Debian's fonts-ipaexfont.
    pub fn new(program: impl Into<PathBuf>) -> Settings {
        Settings {
            program: program.into(),
            templates: None,
            fonts: ["ipaexfont-gothic", "ipaexfont-mincho"]
                .map(|folder| PathBuf::from("/usr/share/fonts/opentype").join(folder))
                .to_vec(),
            children: 2,
            timeout: Duration::from_secs(30),
            idle: Duration::from_secs(60),
        }
    }
}

/// A document that was rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The same bytes for the same data, templates and fonts.
    pub pdf: Vec<u8>,
    pub pages: usize,
    /// What a person should look at: characters without a glyph, the typesetter's warnings.
    pub warnings: Vec<String>,
}

/// A sample that was rendered by [`Renderer::check`].
#[derive(Clone, Debug)]
pub struct Checked {
    pub document: String,
    /// The sample's file.
    pub sample: String,
    pub rendered: Rendered,
    /// The time it took.
    pub took: Duration,
}

/// Renders documents. Cheap to clone; belongs to one tokio runtime. Children end with the last
/// clone.
#[derive(Clone)]
pub struct Renderer {
    pool: Arc<Pool>,
    documents: Documents,
    settings: Arc<Settings>,
}

impl Renderer {
    /// Takes the settings; starts nothing yet.
    pub fn new(settings: Settings) -> Result<Renderer, RenderError> {
        if !(1..=MOST_CHILDREN).contains(&settings.children) || settings.timeout.is_zero() {
            return Err(RenderError::Settings(format!(
                "children is {} and timeout {:?}, expected 1 to {MOST_CHILDREN} and some time",
                settings.children, settings.timeout
            )));
        }
        let documents = Documents::new(settings.templates.clone())?;
        let pool = Arc::new(Pool::new(&settings)?);
        Ok(Renderer { pool, documents, settings: Arc::new(settings) })
    }

    /// Renders the document of this name, such as `invoice`. The template reads `data` as its
    /// contract says; `issued_on`, an ISO day in it, becomes the PDF's time.
    pub async fn render(&self, document: &str, data: &Value) -> Result<Rendered, RenderError> {
        let wrong = |message| RenderError::Data { document: document.to_owned(), message };
        let text = data.to_string();
        if text.len() > MAX_DATA_BYTES {
            let bytes = text.len();
            return Err(wrong(format!("it has {bytes} bytes, expected at most {MAX_DATA_BYTES}")));
        }
        let issued_on = match data.get("issued_on") {
            None | Some(Value::Null) => None,
            Some(value) => Some(value.as_str().and_then(day).ok_or_else(|| {
                wrong(format!("issued_on is {value}, expected a day such as \"2026-11-01\""))
            })?),
        };
        let files = self.files(document, Documents::load).await?;
        let request = Request {
            document: document.to_owned(),
            files: files.iter().map(|f| f.name.clone()).collect(),
            issued_on,
        };
        let mut parts: Vec<&[u8]> = files.iter().map(|f| f.bytes.as_slice()).collect();
        parts.push(text.as_bytes());
        let request =
            message::encode(&request, &parts).map_err(|error| wrong(error.to_string()))?;
        let answer = self.pool.ask(document, &request).await?;
        let rendered = self.understand(document.to_owned(), &answer)?;
        if !rendered.warnings.is_empty() {
            tracing::warn!(document, warnings = ?rendered.warnings, "a document was rendered");
        }
        Ok(rendered)
    }

    /// Renders every document with each of its samples (`sample*.json` beside `main.typ`); the
    /// first that is wrong is the error.
    pub async fn check(&self) -> Result<Vec<Checked>, RenderError> {
        let documents = self.documents.clone();
        let names = blocking(move || documents.names()).await?;
        let mut checked = Vec::new();
        for document in names {
            let samples = self.files(&document, Documents::samples).await?;
            if samples.is_empty() {
                let message = "it has no sample: expected sample.json beside main.typ".to_owned();
                return Err(RenderError::Template { document, message });
            }
            for File { name, bytes } in samples {
                let data = serde_json::from_slice(&bytes).map_err(|error| RenderError::Data {
                    document: document.clone(),
                    message: format!("{}: {error}", name.shown),
                })?;
                let begun = Instant::now();
                let rendered =
                    self.render(&document, &data).await.map_err(|error| match error {
                        RenderError::Data { document, message } => {
                            let message = format!("{}: {message}", name.shown);
                            RenderError::Data { document, message }
                        }
                        other => other,
                    })?;
                let (document, sample, took) = (document.clone(), name.shown, begun.elapsed());
                checked.push(Checked { document, sample, rendered, took });
            }
        }
        Ok(checked)
    }

    /// The process ids of the children that live, in no order.
    pub fn children(&self) -> Vec<u32> {
        self.pool.living()
    }

    async fn files(
        &self,
        document: &str,
        load: fn(&Documents, &str) -> Result<Vec<File>, RenderError>,
    ) -> Result<Vec<File>, RenderError> {
        let (documents, document) = (self.documents.clone(), document.to_owned());
        blocking(move || load(&documents, &document)).await
    }

    fn understand(&self, document: String, answer: &[u8]) -> Result<Rendered, RenderError> {
        let child = |error: &dyn std::fmt::Display| RenderError::Child {
            document: document.clone(),
            ended: format!("answered what is not understood: {error}"),
            what_it_said: String::new(),
        };
        let parts = message::parts(answer).map_err(|error| child(&error))?;
        match serde_json::from_slice(parts[0]).map_err(|error| child(&error))? {
            Answer::Done { pages, warnings } => {
                let pdf = parts.get(1).ok_or_else(|| child(&"a PDF is missing"))?.to_vec();
                Ok(Rendered { pdf, pages, warnings })
            }
            Answer::Template(message) => Err(RenderError::Template { document, message }),
            Answer::Data(message) => Err(RenderError::Data { document, message }),
            Answer::Font { family, found } => {
                let searched = self.settings.fonts.clone();
                Err(RenderError::Font { document, family, found, searched })
            }
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RenderError> + Send + 'static,
) -> Result<T, RenderError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| RenderError::Stopped(error.to_string()))?
}

/// Year, month and day of an ISO day; whether there is such a day, the child sees.
fn day(text: &str) -> Option<(i32, u8, u8)> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let fits = year.len() == 4 && month.len() == 2 && day.len() == 2 && parts.next().is_none();
    let day = (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    fits.then_some(day)
}
