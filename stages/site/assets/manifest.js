"use strict";
/* From a manifest.json to what the comparison reads: the same as stages/site/tables.py writes for a model of the site. */
Artificer.fromManifest = (manifest) => {
  if (!manifest || !Array.isArray(manifest.variants) || !manifest.source || !manifest.reference) {
    throw new Error("this is not a manifest.json of Artificer");
  }
  if (!String(manifest.schema_version).startsWith("2.")) {
    throw new Error("its schema version is " + manifest.schema_version + ", and this page reads 2.x");
  }
  const mean = (rows) => Math.exp(rows.reduce((sum, row) => sum + Math.log(row.speedup), 0) / rows.length);
  const kindOf = (found) => JSON.stringify([found.device || "cpu", found.execution_precision,
    ...Object.entries(found.settings || {}).map((pair) => pair.join("=")).sort()]);
  const { reference } = manifest;
  const rows = [];
  for (const variant of manifest.variants) {
    const kinds = new Map();
    for (const record of variant.parity) {
      const kind = kindOf(record);
      if (!kinds.has(kind)) kinds.set(kind, record);
    }
    if (!kinds.size) kinds.set(kindOf({ execution_precision: "f32" }), null);
    for (const [kind, record] of kinds) {
      const [device, precision, ...settings] = JSON.parse(kind);
      const failed = record !== null && record.verdict === "failed";
      const speed = {};
      for (const benchmark of manifest.benchmarks) {
        const timed = benchmark.subjects.find((each) =>
          each.id === variant.id && kindOf(each) === kind);
        if (timed) speed[benchmark.host.name] = mean(timed.rows);
      }
      rows.push({
        variant: variant.id,
        label: [[device === "cpu" ? "CPU" : "GPU", record && variant.runtime !== "onnx" ? precision : ""].join(" ").trim(),
          ...settings].join(", "),
        digest: variant.digest || "",
        size: variant.size_bytes,
        quality: record?.metrics.quality_ratio ?? (variant.quality && record && record === variant.parity[0] ? variant.quality.ratio : null),
        diff: record ? record.metrics.score_max_abs ?? null : null,
        verdict: failed ? "failed" : variant.status,
        reason: failed ? record.reasons.join("; ") : variant.reason || "",
        speed,
      });
    }
  }
  return {
    slug: manifest.slug,
    source: manifest.source.location,
    revision: manifest.source.revision,
    reference: `${reference.framework} ${reference.version}, ${reference.dtype}, ${reference.attention} attention`,
    hosts: manifest.benchmarks.map((each) => each.host.name),
    rows,
  };
};
