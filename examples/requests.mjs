// Sends a request from Node and prints what comes back: all it needs is AMQP and JSON.
// Run it beside a served team: npm install amqplib && AMQP_URL=amqp://… node requests.mjs "my card was stolen"
import { randomUUID } from "node:crypto";
import amqp from "amqplib";

const connection = await amqp.connect(process.env.AMQP_URL ?? "amqp://localhost");
const channel = await connection.createConfirmChannel();
const { queue } = await channel.assertQueue("", { exclusive: true });
await channel.consume(queue, async ({ content }) => {
  const { status, text, question, error } = JSON.parse(content.toString());
  console.log(`${status}: ${text ?? question ?? error.message}`);
  await connection.close();
}, { noAck: true });

const body = Buffer.from(JSON.stringify({ text: process.argv[2] }));
channel.publish("baton.requests", "", body, { replyTo: queue, messageId: randomUUID(), persistent: true });
await channel.waitForConfirms();
