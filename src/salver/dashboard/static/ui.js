// What pages do beside being read: charts, the theme, pausing. Everything works without, but for the charts' lines.
"use strict";
(() => {
  const drawn = new WeakMap();
  const root = document.documentElement;
  const probe = document.createElement("i");
  probe.hidden = true;
  document.body.append(probe);
  // A colour as it is in this theme: canvases do not know variables.
  const colour = (text) => {
    probe.style.color = text;
    return getComputedStyle(probe).color;
  };
  const css = (name) => (name === "--font" ? getComputedStyle(root).getPropertyValue(name).trim() : colour(`var(${name})`));
  const palette = () => [0, 1, 2, 3, 4, 5].map((i) => css(`--line-${i}`));

  const written = {
    "%": (v) => `${(v * 100).toFixed(1)} %`,
    ms: (v) => (v < 1 ? `${(v * 1000).toFixed(0)} µs` : v < 1000 ? `${+v.toPrecision(3)} ms` : `${+(v / 1000).toPrecision(3)} s`),
    "/s": (v) => (v >= 1e4 ? `${+(v / 1000).toPrecision(3)} k` : `${+v.toPrecision(3)}`),
    "": (v) => `${+v.toPrecision(4)}`,
  };

  function marks(list) {
    return {
      hooks: {
        draw: (u) => {
          const { ctx, bbox } = u;
          ctx.save();
          ctx.strokeStyle = ctx.fillStyle = css("--muted");
          ctx.font = `${11 * devicePixelRatio}px ${css("--font")}`;
          ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
          let end = -Infinity;
          for (const mark of list) {
            const x = u.valToPos(mark.x, "x", true);
            if (x < bbox.left || x > bbox.left + bbox.width) continue;
            ctx.beginPath();
            ctx.moveTo(x, bbox.top);
            ctx.lineTo(x, bbox.top + bbox.height);
            ctx.stroke();
            const width = ctx.measureText(mark.label).width + 8;
            const flip = x + width > bbox.left + bbox.width;
            if (x > end) {
              ctx.textAlign = flip ? "right" : "left";
              ctx.fillText(mark.label, x + (flip ? -4 : 4), bbox.top + 11 * devicePixelRatio);
              end = x + (flip ? 0 : width);
            }
          }
          ctx.restore();
        },
      },
    };
  }

  function level(value, label) {
    return {
      hooks: {
        draw: (u) => {
          const { ctx, bbox } = u;
          const y = u.valToPos(value, "y", true);
          ctx.save();
          ctx.strokeStyle = ctx.fillStyle = css("--muted");
          ctx.font = `${11 * devicePixelRatio}px ${css("--font")}`;
          ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
          ctx.beginPath();
          ctx.moveTo(bbox.left, y);
          ctx.lineTo(bbox.left + bbox.width, y);
          ctx.stroke();
          ctx.textAlign = "right";
          ctx.fillText(label, bbox.left + bbox.width - 4, y - 4);
          ctx.restore();
        },
      },
    };
  }

  const faded = (text, alpha) => colour(`color-mix(in srgb, ${text} ${alpha * 100}%, transparent)`);

  function columns(chart) {
    const data = [chart.x];
    for (const one of chart.series) {
      data.push(one.values);
      if (one.low?.length) data.push(one.low, one.high);
    }
    return data;
  }

  function options(chart, width, height) {
    const colours = palette();
    const text = written[chart.unit || ""];
    const series = [{ value: (u, v) => (v == null ? "–" : new Date(v * 1000).toISOString().slice(0, 16).replace("T", " ")) }];
    const bands = [];
    chart.series.forEach((one) => {
      const stroke = colours[(one.colour || 0) % colours.length];
      series.push({
        label: one.label,
        stroke,
        width: 2,
        dash: one.dashed ? [6, 4] : undefined,
        fill: chart.area && !one.dashed ? faded(stroke, 0.1) : undefined,
        points: { show: chart.x.length < 3 },
        spanGaps: true,
        value: (u, v) => (v == null ? "–" : text(v)),
      });
      if (one.low?.length) {
        const at = series.length;
        const edge = { stroke: "transparent", width: 0, points: { show: false }, spanGaps: true, value: () => "" };
        series.push({ ...edge, label: `${one.label} (from)`, class: "edge" }, { ...edge, label: `${one.label} (to)`, class: "edge" });
        bands.push({ series: [at + 1, at], fill: faded(stroke, 0.15) });
      }
    });
    const axis = { stroke: css("--muted"), font: `11px ${css("--font")}`, grid: { stroke: css("--line"), width: 1 }, ticks: { show: false } };
    const plugins = [];
    if (chart.marks?.length) plugins.push(marks(chart.marks));
    if (chart.level !== undefined && chart.level !== null) plugins.push(level(chart.level, chart.level_label || ""));
    const zero = chart.zero !== false;
    return {
      width,
      height,
      plugins,
      series,
      bands,
      tzDate: (ts) => uPlot.tzDate(new Date(ts * 1000), "Etc/UTC"),
      scales: {
        x: { range: chart.since ? () => [chart.since, chart.until] : undefined },
        y: {
          range: (u, low, high) => {
            if (low == null) return [0, 1];
            if (chart.level != null) [low, high] = [Math.min(low, chart.level), Math.max(high, chart.level)];
            if (zero) return [0, high * 1.12 || 1];
            const margin = (high - low) * 0.12 || Math.abs(high) * 0.05 || 1;
            return [low - margin, high + margin];
          },
        },
      },
      axes: [
        {
          ...axis,
          size: 28,
          space: 70,
          values: (u, ticks, i, space, step) =>
            ticks.map((t) => {
              const at = new Date(t * 1000).toISOString();
              return step >= 86400 || (step >= 3600 && at.slice(11, 16) === "00:00") ? at.slice(5, 10) : step < 60 ? at.slice(11, 19) : at.slice(11, 16);
            }),
        },
        { ...axis, size: 58, values: (u, ticks) => ticks.map(text) },
      ],
      cursor: { drag: { x: false, y: false }, points: { size: 6 } },
      legend: { live: true },
    };
  }

  function draw(place) {
    const json = place.dataset.chart;
    const width = Math.floor(place.clientWidth);
    if (!width || typeof uPlot === "undefined") return;
    const known = drawn.get(place);
    if (known && known.json === json && known.width === width && known.theme === theme()) return;
    const chart = JSON.parse(json);
    const shape = JSON.stringify([chart.series.map((s) => [s.label, s.colour]), chart.marks, chart.level]);
    if (known && known.shape === shape && known.width === width && known.theme === theme() && !chart.since) {
      known.plot.setData(columns(chart));
      known.json = json;
      return;
    }
    known?.plot.destroy();
    const plot = new uPlot(options(chart, width, +place.dataset.height || 200), columns(chart), place);
    drawn.set(place, { json, width, shape, plot, theme: theme() });
  }

  const theme = () => root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  const all = () => document.querySelectorAll("[data-chart]").forEach(draw);

  // The theme

  const button = document.getElementById("theme");
  function say() {
    button.textContent = theme() === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-label", `Use the ${theme() === "dark" ? "light" : "dark"} theme`);
  }
  if (button) {
    button.hidden = false;
    say();
    button.addEventListener("click", () => {
      root.dataset.theme = theme() === "dark" ? "light" : "dark";
      try {
        localStorage.setItem("salver-theme", root.dataset.theme);
      } catch {}
      say();
      all();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (say(), all()));
  }

  // Updates: none while the page is hidden or paused, and what can't be had leaves what there is

  const pause = document.getElementById("pause");
  if (pause && document.querySelector("[hx-trigger^='every']")) {
    pause.hidden = false;
    pause.addEventListener("click", () => {
      const on = pause.getAttribute("aria-pressed") !== "true";
      pause.setAttribute("aria-pressed", on);
      pause.textContent = on ? "Paused" : "Pause";
    });
  }
  const polls = (event) => event.detail.ctx.sourceElement?.getAttribute("hx-trigger")?.startsWith("every");
  document.addEventListener("htmx:before:request", (event) => {
    const off = document.hidden || pause?.getAttribute("aria-pressed") === "true";
    if (polls(event) && off) event.preventDefault();
  });
  document.addEventListener("htmx:before:response", (event) => {
    const status = event.detail.ctx.response.status;
    if (polls(event)) root.classList.toggle("stale", status >= 400);
    if (polls(event) && status >= 400) event.preventDefault();
    if (event.detail.ctx.response.raw.redirected && polls(event)) location.reload(); // signed out meanwhile
  });
  document.addEventListener("htmx:error", () => root.classList.add("stale"));
  document.addEventListener("htmx:after:swap", all);

  new ResizeObserver(all).observe(document.body);
  all();
})();
