"use strict";
/* The page that does things: asks this server, with the token that it was given, and follows the job. */
{
  const { el, size, small } = Artificer;
  const token = document.querySelector('[name="artificer-token"]').content;
  const byId = (id) => document.getElementById(id);
  const status = byId("status");
  const say = (text) => { status.textContent = text; };
  const post = async (path, body) => {
    const response = await fetch(path, {
      method: "POST", headers: { "content-type": "application/json", "x-artificer-token": token }, body: JSON.stringify(body),
    });
    const found = await response.json();
    if (!response.ok) throw new Error(found.error || "the form is not complete");
    return found;
  };
  const busy = async (button, text, work) => {
    button.disabled = true;
    say(text);
    try {
      await work();
    } catch (error) {
      say("Error: " + error.message);
    } finally {
      button.disabled = false;
    }
  };

  /* The job, from its start: a reload finds it again. */
  let events = null;
  const show = (job, fresh) => {
    byId("job").hidden = false;
    byId("job-title").textContent = job.title;
    byId("cancel").hidden = job.state !== "running";
    const words = { running: "Running", done: "Done", failed: "Failed", cancelled: "Cancelled" };
    byId("job-state").textContent = words[job.state]
      + (job.state === "failed" ? ": " + job.reason : "")
      + (job.state === "done" && job.target ? ". Published to " + job.target : "")
      + (job.peak_bytes ? ". Peak memory " + size(job.peak_bytes) : "") + ".";
    byId("job-state").className = "is-" + job.state;
    byId("job-commands").replaceChildren(...job.commands.map((command, index) =>
      el("li", { class: index < job.current ? "past" : index === job.current ? "now" : null }, el("code", { text: command }))));
    byId("job-stages").replaceChildren(...job.stages.map((stage, index) => {
      const last = index === job.stages.length - 1 && job.state !== "done";
      const mark = !last ? "✓ " : job.state === "running" ? "… " : "✕ ";
      return el("span", { class: "badge " + (!last ? "passed" : job.state === "running" ? "unproven" : "failed"), text: mark + stage });
    }));
    const log = byId("job-log");
    if (fresh) log.textContent = "";
    const below = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    log.append(job.lines.map((line) => line + "\n").join(""));
    if (below) log.scrollTop = log.scrollHeight;
  };
  const follow = () => {
    if (!byId("job")) return;
    if (events) events.close();
    let fresh = true;
    events = new EventSource("/api/job");
    events.addEventListener("open", () => { fresh = true; });
    events.addEventListener("message", (event) => {
      const job = JSON.parse(event.data);
      if (!job) return events.close();
      show(job, fresh);
      fresh = false;
    });
    events.addEventListener("end", () => events.close());
  };
  byId("cancel")?.addEventListener("click", () => busy(byId("cancel"), "", () => post("/api/cancel", {})));
  follow();

  const add = byId("add");
  if (add) {
    const wanted = () => {
      const form = new FormData(add);
      const optional = [...add.elements.variants];
      const asGiven = optional.every((each) => each.checked === each.defaultChecked);
      return { source: form.get("source").trim(), slug: form.get("slug").trim(), license: form.get("license").trim(),
        variants: asGiven ? [] : form.getAll("variants") };
    };
    add.addEventListener("input", () => { byId("found").hidden = true; });
    add.addEventListener("submit", (event) => {
      event.preventDefault();
      busy(event.submitter, "Inspecting…", async () => {
        const found = await post("/api/inspect", wanted());
        byId("found").hidden = Boolean(found.error);
        byId("found-command").textContent = found.command;
        byId("found-text").textContent = found.found;
        say(found.error ? "Error: " + found.error : "");
      });
    });
    byId("build").addEventListener("click", () => busy(byId("build"), "", async () => {
      await post("/api/build", wanted());
      byId("found").hidden = true;
      follow();
    }));
  }

  const publish = byId("publish");
  if (publish) {
    let asked = null;
    const { slug: slugs } = publish.elements;
    const isProposed = () => "proposed" in slugs.selectedOptions[0].dataset;
    const name = () => {
      publish.querySelector('[value="publish"]').textContent = isProposed() ? "Open a pull request" : "Publish";
      byId("confirm").hidden = true;
    };
    slugs.addEventListener("change", name);
    name();
    const run = async () => {
      const given = asked;
      byId("confirm").hidden = true;
      await post("/api/publish", given);
      follow();
    };
    const guarded = () => run().catch((error) => say("Error: " + error.message));
    publish.addEventListener("submit", (event) => {
      event.preventDefault();
      asked = { slug: new FormData(publish).get("slug"), action: event.submitter.value };
      if (asked.action === "dry-run") return guarded();
      const words = {
        publish: isProposed() ? `Open a pull request with ${asked.slug}?` : `Publish ${asked.slug}?`,
        promote: `Make the candidate of ${asked.slug} stable?`,
        rollback: `Move stable of ${asked.slug} back to the release before?`,
      };
      byId("confirm-text").textContent = words[asked.action];
      byId("confirm-command").textContent = `python -m stages ${asked.action} ${asked.slug}`;
      byId("confirm").hidden = false;
      byId("yes").focus();
    });
    byId("yes").addEventListener("click", guarded);
    byId("no").addEventListener("click", () => { byId("confirm").hidden = true; });
  }

  const tried = byId("try");
  if (tried) {
    const { model, a, b } = tried.elements;
    const list = async () => {
      const response = await fetch("/api/executions?model=" + encodeURIComponent(model.value));
      const found = await response.json();
      if (!response.ok) return say("Error: " + found.error);
      for (const select of [a, b]) select.replaceChildren(...found.map((name) => el("option", { text: name })));
      a.value = found.includes("onnx") ? "onnx" : found[found.length - 1];
      b.value = found[0];
    };
    model.addEventListener("change", list);
    list();
    tried.addEventListener("submit", (event) => {
      event.preventDefault();
      const documents = tried.elements.documents.value.split("\n").map((line) => line.trim()).filter(Boolean);
      busy(event.submitter, "Scoring…", async () => {
        const found = await post("/api/try", { model: model.value, a: a.value, b: b.value, query: tried.elements.query.value, documents });
        say("");
        const [first, second] = found.milliseconds;
        const card = (name, time, extra, best) => el("section", { class: "card" + (best ? " best" : "") }, el("h2", { text: name }),
          el("p", { class: "big", text: time.toFixed(1) + " ms" }), el("p", { class: "muted", text: documents.length + " documents" + extra }));
        const head = ["Document", "A", "Rank", "B", "Rank", "Difference", "Order"];
        const rows = found.rows.map((row) => {
          const moved = row.ranks[0] !== row.ranks[1];
          return el("tr", { class: moved ? "changed" : null }, el("th", { scope: "row", text: row.document }),
            ...[0, 1].flatMap((side) => [el("td", { class: "n", text: row.scores[side].toFixed(4) }), el("td", { class: "n", text: row.ranks[side] })]),
            el("td", { class: "n", text: small(Math.abs(row.scores[0] - row.scores[1])) }),
            el("td", { class: moved ? null : "muted", text: moved ? "moved" : "same" }));
        });
        byId("tried").hidden = false;
        byId("tried").replaceChildren(
          el("div", { class: "cards two" }, card("A: " + a.value, first, "", first < second), card("B: " + b.value, second, ", " + (first / second).toFixed(2) + "× A", second < first)),
          el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Scores" }, el("table", { class: "tried" },
            el("thead", {}, el("tr", {}, ...head.map((text, index) => el("th", { scope: "col", class: index && index < 6 ? "n" : null, text })))),
            el("tbody", {}, ...rows))),
          el("p", { class: "muted as-commands", text: "The same, with a document on each line of documents.txt:" }),
          el("ol", { class: "commands" }, ...found.commands.map((command) => el("li", {}, el("code", { text: command })))));
      });
    });
  }
}
