// Transfers that the user made or was sent, whatever became of them.

import { money } from "./amounts.js";
import { tell } from "./language.js";
import { line, list, timeOf } from "./lists.js";
import { groupDigits } from "./overview.js";
import { momentOf } from "./time.js";

export function transfers(place, showDetails) {
  const row = (transfer) => {
    const incoming = transfer.direction === "received";
    const name = incoming ? transfer.from : transfer.to;
    const number = groupDigits(incoming ? transfer.from_account_number : transfer.to_account_number);
    const title = tell(incoming ? "entry.from" : "entry.to", { name });
    const amount = money.formatChange(incoming ? transfer.amount : -transfer.amount);
    const status = tell(`status.${transfer.status}`);
    const facts = [
      ["details.amount", amount],
      ["reference", transfer.reference],
      ["details.with", name],
      ["account.number", number],
      ["details.when", momentOf(transfer.created_at)],
      ["details.status", status],
    ];
    return line({
      title,
      reference: transfer.reference,
      notes: [timeOf(transfer.created_at), number],
      amount,
      incoming,
      aside: transfer.status === "completed" ? null : status,
      muted: transfer.status !== "completed",
      open: () => showDetails(title, facts, transfer.id),
    });
  };
  const all = list(place, "/api/transfer/transactions", row, { empty: () => tell("transfers.empty") });
  return {
    ...all,
    /** As long as nobody looks, nothing is asked for. */
    refresh: async () => (place.hidden ? undefined : all.refresh()),
  };
}
