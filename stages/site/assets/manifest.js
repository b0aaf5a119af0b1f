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
  const { reference } = manifest;
  const rows = [];
  for (const variant of manifest.variants) {
    const kinds = new Map();
    for (const record of variant.parity) {
      const kind = (record.device || "cpu") + " " + record.execution_precision;
      if (!kinds.has(kind)) kinds.set(kind, record);
    }
    if (!kinds.size) kinds.set("cpu f32", null);
    for (const [kind, record] of kinds) {
      const [device, precision] = kind.split(" ");
      const failed = record !== null && record.verdict === "failed";
      const speed = {};
      for (const benchmark of manifest.benchmarks) {
        const timed = benchmark.subjects.find((each) =>
          each.id === variant.id && (each.device || "cpu") === device && each.execution_precision === precision);
        if (timed) speed[benchmark.host.name] = mean(timed.rows);
      }
      rows.push({
        variant: variant.id,
        label: [device === "cpu" ? "CPU" : "GPU", record && variant.runtime !== "onnx" ? precision : ""].join(" ").trim(),
        digest: variant.digest || "",
        size: variant.size_bytes,
        quality: variant.quality && record === variant.parity[0] ? variant.quality.ratio : null,
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
