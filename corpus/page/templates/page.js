(() => {
  "use strict";
  const root = document.documentElement;
  const specs = JSON.parse(document.getElementById("specs").textContent);
  const charts = [...document.querySelectorAll(".chart")];
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const button = document.getElementById("theme");
  const remembered = (() => { try { return localStorage.getItem("theme"); } catch { return null; } })();
  if (remembered === "light" || remembered === "dark") root.dataset.theme = remembered;
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);

  function config(width) {
    const style = getComputedStyle(root);
    const of = (name) => style.getPropertyValue(name).trim();
    const narrow = width < 560;
    const words = { labelColor: of("--text"), titleColor: of("--quiet"), labelFontSize: narrow ? 11 : 12, titleFontSize: 12, titleFontWeight: "normal" };
    return {
      aria: false, background: "transparent", font: "system-ui, sans-serif", padding: 4,
      view: { stroke: null },
      axis: { ...words, gridColor: of("--line"), domainColor: of("--line"), tickColor: of("--line"), labelLimit: narrow ? 130 : 300, tickCount: narrow ? 4 : 7 },
      axisY: { titleLimit: 200 },
      legend: { ...words, orient: "bottom", direction: "horizontal", columns: Math.max(1, Math.floor(width / 125)), title: null, symbolType: "square", labelLimit: 200 },
      header: { ...words },
      range: { category: Array.from({ length: 10 }, (_, n) => of(`--c${n + 1}`)) },
      bar: { color: of("--c1") }, line: { strokeWidth: 1.6, color: of("--c1") }, point: { filled: true, size: 70, color: of("--c1") },
      rule: { color: of("--text") }, text: { color: of("--text"), fontSize: 11 },
    };
  }

  async function draw(box) {
    box.dataset.width = box.clientWidth;
    const spec = { ...specs[Number(box.dataset.spec)], width: "container", autosize: { type: "fit-x", contains: "padding" } };
    try {
      const old = box.view;
      const drawn = await vegaEmbed(box, spec, { actions: false, renderer: "svg", logLevel: vega.Error, ast: true, config: config(box.clientWidth), tooltip: { theme: isDark() ? "dark" : "custom" } });
      if (old) old.finalize();
      box.view = drawn.view;
      box.querySelector("svg").setAttribute("aria-hidden", "true"); // the box says what it shows
      box.dataset.drawn = "yes";
    } catch (error) {
      box.textContent = `This chart could not be drawn (${error.message}); its data are in the table below.`;
      console.error(error);
    }
  }

  // a chart is drawn when it comes near, so that a page with many of them opens at once
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) { near.unobserve(entry.target); draw(entry.target); }
  }, { rootMargin: "400px" });
  charts.forEach((box) => near.observe(box));
  const again = () => charts.filter((box) => box.dataset.drawn).forEach(draw);
  let timer = 0;
  new ResizeObserver(() => {
    clearTimeout(timer);
    timer = setTimeout(() => charts.filter((box) => box.dataset.drawn && Number(box.dataset.width) !== box.clientWidth).forEach(draw), 150);
  }).observe(document.querySelector("main"));
  addEventListener("beforeprint", () => charts.filter((box) => !box.dataset.drawn).forEach(draw));

  const label = () => { button.textContent = isDark() ? "Light" : "Dark"; button.setAttribute("aria-label", `Show the page ${isDark() ? "light" : "dark"}`); };
  button.hidden = false;
  label();
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* a page without storage forgets it */ }
    label();
    again();
  });
  dark.addEventListener("change", () => { label(); again(); });
  if (matchMedia("(max-width: 70rem)").matches) document.querySelector("nav details").open = false;
})();
