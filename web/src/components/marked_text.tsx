/** Text of the catalogue of alerts, in which `backticks` mark commands and names. */
export function MarkedText({ text }: { text: string }) {
  // Every second piece stands between backticks.
  return <>{text.split('`').map((piece, number) => (number % 2 === 1 ? <code key={number}>{piece}</code> : piece))}</>
}
