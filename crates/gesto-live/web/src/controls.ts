// The panel's forms: detection settings of the server, camera and way of sending.

import { fillSelect } from "./dom";
import type { Missing } from "./dom";
import type { Hello, Settings } from "./protocol";

type Choice = "size" | "unit" | "resize" | "fit";
type Slider = "conf_hand" | "conf_body" | "iou_hand" | "iou_body";
const SLIDERS: readonly Slider[] = ["conf_hand", "conf_body", "iou_hand", "iou_body"];

const WORDS: Record<string, string> = {
  cpu: "CPU",
  gpu: "GPU",
  op: "operator",
  ort: "ONNX Runtime",
  conv: "convolution",
  cuda: "CUDA",
  tensorrt: "TensorRT",
  openvino: "OpenVINO",
  coreml: "Core ML",
  directml: "DirectML",
  qnn: "QNN",
};

/** The server's name of a choice in words: `cpu-bilinear` is "CPU bilinear", `ort:cuda` is "ONNX Runtime: CUDA". */
export function inWords(name: string): string {
  const words = name
    .split(":")
    .map((part) => part.split("-").map((word) => WORDS[word] ?? word).join(" "))
    .join(": ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

const named = (values: readonly string[]): (readonly [string, string])[] => values.map((value) => [value, inWords(value)] as const);

const lacking = (of: Record<string, string>): Missing[] => Object.entries(of).map(([name, reason]) => ({ text: inWords(name), reason }));

export class Controls {
  private choices: Hello["choices"] | null = null;

  constructor(
    private readonly form: HTMLFormElement,
    private readonly change: (settings: Partial<Settings>) => void,
    keypointScore: number,
    keypointChange: (score: number) => void,
  ) {
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", (event) => this.changed(event.target as HTMLInputElement | HTMLSelectElement));
    form.addEventListener("input", (event) => this.showValue(event.target as HTMLInputElement));
    const keypoint = this.field("keypoint");
    keypoint.value = String(keypointScore);
    this.showValue(keypoint);
    keypoint.addEventListener("input", () => keypointChange(keypoint.valueAsNumber));
  }

  /** What the server offers. */
  offer(hello: Hello): void {
    const { choices, settings } = hello;
    this.choices = choices;
    const sizes = choices.sizes.map((size) => [size.join("x"), size.join(" × ")] as const);
    fillSelect(this.select("size"), sizes, settings.size.join("x"));
    fillSelect(this.select("unit"), named(choices.units), settings.unit, lacking(choices.missing.units));
    fillSelect(this.select("fit"), named(choices.fits), settings.fit);
    this.show(settings);
  }

  /** Ways to resize belong to the unit. */
  private offerResizes({ unit, resize }: Settings): void {
    const { choices } = this;
    if (!choices) return;
    const resizes = lacking(choices.missing.resizes[unit] ?? {});
    fillSelect(this.select("resize"), named(choices.resizes[unit] ?? []), resize, resizes);
    this.explain([...lacking(choices.missing.units), ...resizes]);
  }

  /** A disabled option has no room for its reason, and a phone shows no title. */
  private explain(missing: readonly Missing[]): void {
    const details = this.form.querySelector<HTMLDetailsElement>(".missing");
    const list = details?.querySelector("dl");
    if (!details || !list) return;
    details.hidden = missing.length === 0;
    list.replaceChildren(
      ...missing.flatMap(({ text, reason }) => {
        const [term, description] = [document.createElement("dt"), document.createElement("dd")];
        term.textContent = text;
        description.textContent = reason;
        return [term, description];
      }),
    );
  }

  /** What is in force. */
  show(settings: Settings): void {
    this.select("size").value = settings.size.join("x");
    this.select("unit").value = settings.unit;
    this.offerResizes(settings);
    this.select("fit").value = settings.fit;
    this.field("hands").checked = settings.hands;
    this.field("body").checked = settings.body;
    for (const name of SLIDERS) {
      const slider = this.field(name);
      slider.value = String(settings[name]);
      this.showValue(slider);
    }
  }

  private changed(field: HTMLInputElement | HTMLSelectElement): void {
    const { name, value } = field;
    if (name === "size") {
      const [height = 0, width = 0] = value.split("x").map(Number);
      this.change({ size: [height, width] });
    } else if (name === "hands" || name === "body") {
      this.change({ [name]: (field as HTMLInputElement).checked });
    } else if ((SLIDERS as readonly string[]).includes(name)) {
      this.change({ [name]: Number(value) });
    } else if (name !== "keypoint") {
      this.change({ [name]: value });
    }
  }

  private showValue(field: HTMLInputElement): void {
    if (field.type !== "range") return;
    const text = field.valueAsNumber.toFixed(2);
    const output = field.parentElement?.querySelector("output");
    if (output) output.textContent = text;
    field.setAttribute("aria-valuetext", text);
  }

  private select(name: Choice): HTMLSelectElement {
    return this.form.elements.namedItem(name) as HTMLSelectElement;
  }

  private field(name: string): HTMLInputElement {
    return this.form.elements.namedItem(name) as HTMLInputElement;
  }
}
