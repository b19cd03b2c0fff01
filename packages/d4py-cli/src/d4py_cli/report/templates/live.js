const updates = new EventSource(document.body.dataset.live);
updates.onmessage = (message) => {
  const update = JSON.parse(message.data);
  for (const [name, html] of Object.entries(update.sections)) {
    const section = document.getElementById(name);
    if (section.dataset.html !== html) {
      section.dataset.html = html;
      section.innerHTML = html;
    }
  }
  for (const section of document.querySelectorAll(".picture")) {
    section.hidden = !update.shown.includes(section.id.replace("picture-", ""));
  }
  const drawing = Bokeh.documents[0];
  if (!drawing) return;  // the next update comes in a second
  drawing.get_model_by_name("seconds").end = update.seconds;
  for (const [name, rows] of Object.entries(update.rows)) {
    drawing.get_model_by_name(name).factors = rows;
  }
  for (const [name, columns] of Object.entries(update.columns)) {
    drawing.get_model_by_name(name).data = columns;
  }
};
updates.addEventListener("end", () => updates.close());
