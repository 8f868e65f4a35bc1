//! YAML as Kubernetes' own tools read it.

use serde::Serialize;
use serde_saphyr::SerializerOptions;

use crate::TemplateError;

/// A document as YAML. Texts stay in one line: the marks of secrets are looked for in them.
pub(crate) fn yaml(name: &str, document: &impl Serialize) -> Result<String, TemplateError> {
    let mut options = SerializerOptions::default();
    options.prefer_block_scalars = false;
    serde_saphyr::to_string_with_options(document, options)
        .map_err(|source| TemplateError::Yaml { document: name.to_owned(), source: source.into() })
}
