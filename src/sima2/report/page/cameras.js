// Cameras.
const pictures = (row, told) => {
  const films = (told.videos || []).map(({ camera, url, begin }) => {
    const film = h("video", {
      src: url,
      muted: true,
      playsinline: true,
      preload: "metadata",
      controls: true,
      "aria-label": camera,
    });
    film.begin = begin;
    film.addEventListener("timeupdate", () => {
      if (film.paused || state.row !== row) return;
      const t = film.currentTime - begin,
        others = [...panel.querySelectorAll("video")].filter((each) => each !== film);
      if (t > (all.seconds[row] ?? 0)) {
        for (const each of [film, ...others]) each.pause();
        return;
      }
      if (others.some((each) => !each.paused && each.compareDocumentPosition(film) & Node.DOCUMENT_POSITION_FOLLOWING))
        return;
      for (const each of others)
        if (Math.abs(each.currentTime - each.begin - t) > 0.12) each.currentTime = each.begin + t;
      go_to(Math.floor((t / Math.max(all.seconds[row], 1e-9)) * (all.frames[row] - 1)), true);
    });
    film.addEventListener("loadedmetadata", seek);
    film.addEventListener("error", () =>
      film.replaceWith(h("p", { class: "muted" }, `${camera}: this browser cannot show the video`)),
    );
    return h("figure", null, film, h("figcaption", null, camera));
  });
  const several = new Set((told.thumbnails || []).map((each) => each.camera)).size > 1;
  const stills = (told.thumbnails || []).map(({ camera, frame, moment, source }) =>
    h(
      "figure",
      null,
      h(
        "button",
        { type: "button", class: "still", title: `${camera}, frame ${frame}`, onclick: () => go_to(frame) },
        h("img", { src: source, alt: `${camera}: ${moment}, frame ${frame}`, loading: "lazy" }),
      ),
      h(
        "figcaption",
        null,
        `${words(moment)} ${short(seconds_at(frame))} s`,
        several ? ` ${camera.replace(/^observation\.images?\./, "")}` : "",
      ),
    ),
  );
  for (const { camera, index } of told.pictures || []) {
    const picture = h("img", { alt: `${camera} at the chosen frame`, class: "at-frame" });
    picture.ask = () => `frame?row=${row}&camera=${index}&frame=${state.frame ?? 0}`;
    picture.src = picture.ask();
    films.push(h("figure", null, picture, h("figcaption", null, camera)));
  }
  return [
    films.length ? h("div", { class: "films" }, films) : null,
    stills.length ? h("div", { class: "stills" }, stills) : null,
  ];
};
// the middle of a frame: at its edge a browser may show the one before, which may be another episode's
const seek = () => {
  const at = seconds_at((state.frame ?? 0) + 0.5);
  for (const film of panel.querySelectorAll("video"))
    if (film.paused && film.readyState > 0) film.currentTime = film.begin + at;
  clearTimeout(look);
  look = setTimeout(() => {
    for (const each of panel.querySelectorAll("img.at-frame")) each.src = each.ask();
  }, 60);
};
let look = 0;
