// Sends orders with Segment's own client for Node, and prints what it says of each.
// usage: node send.cjs HOST WRITE_KEY COUNT
const { Analytics } = require("@segment/analytics-node");

const [host, writeKey, count] = process.argv.slice(2);
const analytics = new Analytics({ host, writeKey, flushAt: 10, flushInterval: 100, maxRetries: 8 });
const told = { sent: 0, failed: [] };
analytics.on("error", (error) => told.failed.push(String(error.reason ?? error.code)));
for (let n = 0; n < Number(count); n += 1) {
  analytics.track(
    {
      userId: `buyer-${n}`,
      event: "Order Completed",
      messageId: `node-${n}`,
      properties: { revenue: 10 + n, currency: "EUR" },
    },
    (error) => {
      if (!error) told.sent += 1;
    },
  );
}
analytics.closeAndFlush({ timeout: 60000 }).then(() => console.log(JSON.stringify(told)));
