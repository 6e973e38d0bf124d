// A chat with Socket.IO: `node server.js <port>`.
import { createServer } from "node:http";
import { Server } from "socket.io";

const server = createServer();
const io = new Server(server);

io.on("connection", (socket) => {
  socket.on("join", (room, callback) => {
    socket.join(room);
    callback("joined");
  });
  socket.on("message", ({ room, text }) => {
    io.to(room).emit("message", text);
  });
});

server.listen(Number(process.argv[2]), "127.0.0.1");
