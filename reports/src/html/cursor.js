// One cursor for the counterexample, the whole run, the messages and the log: moving the pointer in one of them marks
// the same time in all. The times are those of the run: µs, or events.
"use strict";

(() => {
  const show = (t) => document.dispatchEvent(new CustomEvent("cursor", { detail: t }));

  // Drawings have a scale: times with positions, in order. Equal times (ties) keep the first position.
  for (const drawing of document.querySelectorAll("svg[data-scale]")) {
    const points = drawing.dataset.scale.split(" ").map((point) => point.split(":").map(Number));
    const line = drawing.querySelector(".cursor");
    // The value on axis `to` at a value on axis `from`, between its neighbours; null outside.
    const between = (value, from, to) => {
      const next = points.findIndex((point) => point[from] >= value);
      if (next < 0 || (next === 0 && points[0][from] > value)) return null;
      if (next === 0) return points[0][to];
      const [before, after] = [points[next - 1], points[next]];
      const share = (value - before[from]) / (after[from] - before[from]);
      return before[to] + (after[to] - before[to]) * share;
    };
    drawing.addEventListener("pointermove", (event) => {
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(drawing.getScreenCTM().inverse());
      const t = between(at.x, 1, 0);
      if (t !== null) show(t);
    });
    document.addEventListener("cursor", (event) => {
      const x = between(event.detail, 0, 1);
      line.setAttribute("visibility", x === null ? "hidden" : "visible");
      if (x === null) return;
      line.setAttribute("x1", x);
      line.setAttribute("x2", x);
    });
  }

  // The log: the last line up to the cursor is marked.
  const rows = [...document.querySelectorAll("#logs tr[data-t]")];
  const times = rows.map((row) => Number(row.dataset.t));
  let marked = null;
  document.addEventListener("cursor", (event) => {
    const t = event.detail;
    let at = times.findLastIndex((time) => time <= t);
    if (at === rows.length - 1 && t > times[at] + 1e5) at = -1; // long after the last line
    marked?.classList.remove("at");
    marked = rows[at] ?? null;
    marked?.classList.add("at");
  });
  rows.forEach((row, at) => row.addEventListener("pointerenter", () => show(times[at])));
})();
