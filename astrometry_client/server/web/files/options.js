import { find } from "./common.js";

// The options of an upload.

/** Return degrees from a number, or from up to three of them with what is customary between. */
function degrees(text, perUnit) {
  const parts = text.trim().replace(/^[−–]/, "-").replace(/[hmsd:°′″'"]/g, " ").trim().split(/\s+/).map(Number);
  if (parts.length === 1) return parts[0];
  const [whole, minutes, seconds = 0, ...more] = parts.map(Math.abs);
  if (more.length || minutes >= 60 || seconds >= 60) return NaN;
  return (/^\s*[-−–]/.test(text) ? -1 : 1) * (whole + minutes / 60 + seconds / 3600) * perUnit;
}

function complain(field, message) {
  find("#options").open = true;
  field.setCustomValidity(message);
  field.reportValidity();
}

/** Return the options as the API takes them; nothing if one is wrong, which is told at its field. */
export function readOptions(form) {
  const field = form.elements;
  for (const element of field) element.setCustomValidity?.("");
  const value = (name) => (field[name].value.trim() === "" ? undefined : Number(field[name].value));
  const ra = field.center_ra.value.trim() && degrees(field.center_ra.value, 15);
  const dec = field.center_dec.value.trim() && degrees(field.center_dec.value, 1);
  const [lower, upper, radius] = ["scale_lower", "scale_upper", "radius"].map(value);
  const given = [ra !== "", dec !== "", radius !== undefined];
  if (!form.checkValidity()) {
    find("#options").open = true;
    return void form.reportValidity();
  }
  if (lower > upper) return complain(field.scale_upper, "This is below the lower end.");
  if (ra !== "" && !(ra >= 0 && ra <= 360)) return complain(field.center_ra, "Give 0 to 360 degrees, or hours as 05:35:17.");
  if (dec !== "" && !(Math.abs(dec) <= 90)) return complain(field.center_dec, "Give -90 to 90 degrees, or as -05:23:28.");
  if (given.includes(true) && given.includes(false)) {
    const missing = ["center_ra", "center_dec", "radius"][given.indexOf(false)];
    return complain(field[missing], "A position needs right ascension, declination and how far it may be off.");
  }
  const options = { downsample_factor: value("downsample_factor"), parity: value("parity") };
  if (given[0]) Object.assign(options, { center_ra: ra, center_dec: dec, radius });
  if (lower !== undefined || upper !== undefined) {
    Object.assign(options, { scale_type: "ul", scale_units: field.scale_units.value, scale_lower: lower, scale_upper: upper });
  }
  return options;
}

export function inWords(options) {
  const words = [];
  const unit = { degwidth: "° wide", arcminwidth: "′ wide", arcsecperpix: "″ per pixel", focalmm: " mm" }[options.scale_units];
  if (unit) words.push(`${options.scale_lower ?? "…"} to ${options.scale_upper ?? "…"}${unit}`);
  if (options.radius !== undefined) words.push(`within ${options.radius}° of ${options.center_ra.toFixed(4)}° ${options.center_dec.toFixed(4)}°`);
  if (options.downsample_factor !== undefined) words.push(`downsampled by ${options.downsample_factor}`);
  if (options.parity !== undefined) words.push(`parity ${options.parity ? "positive" : "negative"}`);
  return words.join(", ") || "none: every scale, all of the sky";
}
