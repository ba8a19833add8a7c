"use strict";
// Draws the curves of a report again for every choice of the reader. BokehJS cannot change the kind of an axis.
for (const figure of document.querySelectorAll("figure.interactive")) {
  const data = JSON.parse(figure.querySelector("script").textContent);
  const chosen = (name) => figure.querySelector(`[name=${name}]`);
  const hidden = new Set();
  let view = null, drawing = 0;

  const rows = (line, axis, logarithmic, extra) => {
    const found = { x: [], y: [], ...Object.fromEntries(Object.keys(extra).map((key) => [key, []])) };
    line.x[axis].forEach((x, place) => {
      const y = line.y[place];
      const drawable = x !== null && y !== null && !(logarithmic.x && x <= 0) && !(logarithmic.y && y <= 0);
      if (!drawable) return;
      found.x.push(x);
      found.y.push(y);
      for (const [key, value] of Object.entries(extra)) found[key].push(Array.isArray(value) ? value[place] : value);
    });
    return new Bokeh.ColumnDataSource({ data: found });
  };

  const band = (mean, axis, logarithmic) => {
    const found = { x: [], low: [], high: [] };
    mean.x[axis].forEach((x, place) => {
      const low = mean.low[place], high = mean.high[place];
      if (x === null || low === null || high === null || (logarithmic.x && x <= 0) || (logarithmic.y && low <= 0)) return;
      found.x.push(x);
      found.low.push(low);
      found.high.push(high);
    });
    return new Bokeh.ColumnDataSource({ data: found });
  };

  const draw = async () => {
    const number = ++drawing;
    const axis = chosen("axis").value;
    const logarithmic = { x: chosen("x_log").checked, y: chosen("y_log").checked };
    const place = figure.querySelector(".plot");
    const [low, high] = data.limits;
    const limits = low === null || (logarithmic.y && low <= 0) ? {} : { y_range: new Bokeh.Range1d({ start: low, end: high }) };
    const plot = Bokeh.Plotting.figure({
      sizing_mode: "stretch_width", height: place.clientWidth < 600 ? 320 : 460, tools: "pan,box_zoom,wheel_zoom,reset,save",
      toolbar_location: "above", output_backend: "canvas", ...limits,
      x_axis_type: logarithmic.x ? "log" : "linear", y_axis_type: logarithmic.y ? "log" : "linear",
      x_axis_label: data.axes[axis], y_axis_label: data.value,
    });
    plot.toolbar.logo = null;
    plot.toolbar.active_drag = null;  // a finger that moves over the plot scrolls the page
    const numbers = logarithmic.x ? {} : { formatter: new Bokeh.NumeralTickFormatter({ format: "0.[0]a" }) };
    for (const each of plot.xaxes ?? []) each.setv(numbers);
    const lines = [], points = { x: [], y: [], name: [] };
    let end = logarithmic.x ? 1 : 0;
    data.groups.forEach((group, index) => {
      if (hidden.has(index)) return;
      if (group.seeds > 1)
        plot.varea({ x: { field: "x" }, y1: { field: "low" }, y2: { field: "high" }, fill_color: group.colour, fill_alpha: 0.16, source: band(group.mean, axis, logarithmic) });
      if (data.singles && chosen("singles").checked)
        for (const run of group.runs) lines.push([group, rows(run, axis, logarithmic, { name: run.name }), 1, 0.45]);
      const name = group.seeds > 1 ? `${group.name}: mean of ${group.seeds}` : group.runs[0]?.name ?? group.name;
      lines.push([group, rows(group.mean, axis, logarithmic, { name }), 2.6, 1]);
    });
    for (const [group, source, width, alpha] of lines) {
      end = Math.max(end, ...source.data.x);
      plot.line({ field: "x" }, { field: "y" }, { source, line_color: group.colour, line_width: width, line_alpha: alpha });
    }
    const meansFirst = [...lines].sort(([, , first], [, , second]) => second - first);
    for (const [, line] of meansFirst) for (const key of Object.keys(points)) points[key].push(...line.data[key]);
    // A line is as thin to the pointer as it looks, so that invisible points around what was recorded tell of it.
    const source = new Bokeh.ColumnDataSource({ data: points });
    const told = plot.scatter({ field: "x" }, { field: "y" }, { source, size: 16, fill_alpha: 0, line_alpha: 0 });
    for (const [index, reference] of data.references.entries()) {
      if (logarithmic.y && reference.value <= 0) continue;
      const dash = [[6, 4], [2, 3], [8, 3, 2, 3]][index % 3];
      plot.add_layout(new Bokeh.Span({ location: reference.value, dimension: "width", line_color: "#555", line_dash: dash, line_width: 1 }));
      if (low === null || (reference.value >= low && reference.value <= high))
        plot.add_layout(new Bokeh.Label({ x: end, y: reference.value, y_offset: 2, text: reference.name, text_align: "right", text_font_size: "11px", text_color: "#555" }));
    }
    plot.add_tools(new Bokeh.HoverTool({
      renderers: [told], limit: 3,
      tooltips: [["run", "@name"], [data.axes[axis], "@x{0,0.[00]}"], [data.value, "@y{0.000}"]],
    }));
    const next = await Bokeh.Plotting.show(plot, place);
    if (number !== drawing) return next.remove();  // the reader has chosen something else meanwhile
    view?.remove();
    view = next;
    figure.dataset.drawn = `${axis} ${logarithmic.x ? "log" : "linear"} ${logarithmic.y ? "log" : "linear"} ${lines.length}`;
  };

  figure.querySelector(".controls").addEventListener("change", draw);
  figure.querySelector(".legend").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button === null) return;
    const index = Number(button.dataset.group);
    if (!hidden.delete(index)) hidden.add(index);
    button.setAttribute("aria-pressed", String(!hidden.has(index)));
    draw();
  });
  draw();
}
