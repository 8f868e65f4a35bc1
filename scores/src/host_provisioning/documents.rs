//! The texts that a host is served: its boot script and its answer file. Pure.

use harmony_core::capability::InstallSource;
use harmony_core::host::Host;
use harmony_core::score::ScoreError;
use harmony_core::store::Document;
use harmony_templates::{NodeIgnition, ScosBoot, TemplateError, ignition, link_keyfiles, scos_boot};
use jiff::Timestamp;

use super::OrderDraft;

/// Renders both. The token's place is marked; the texts hold no secret.
pub(super) fn render(
    host: &Host,
    draft: &OrderDraft,
    source: &InstallSource,
    network_is_kept: bool,
) -> Result<(Document, Document), ScoreError> {
    let failed = |what: &str| {
        let what = format!("make the {what} of {}", host.label());
        move |source: TemplateError| ScoreError::Document { what, source: source.into() }
    };
    let order = draft.clone().into_order(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
    let script = scos_boot(&ScosBoot { order: &order, source }).map_err(failed("boot script"))?;
    let keyfiles = if network_is_kept {
        Vec::new()
    } else {
        link_keyfiles(&draft.link, draft.address).map_err(failed("bond keyfiles"))?
    };
    let node = NodeIgnition { hostname: &draft.hostname, ssh_keys: &[&source.ssh_key], keyfiles: &keyfiles };
    let answer = ignition(&node).map_err(failed("answer file"))?;
    let name = &draft.hostname;
    Ok((Document::new(format!("{name}.ipxe"), script), Document::new(format!("{name}.ign"), answer)))
}
