# A chat with Action Cable, on its own as the guide's "standalone" server has it: `puma -p <port> config.ru`.
# Connection and channel are the guide's; the `async` adapter keeps subscriptions in this process.
require "logger"
require "action_cable"

module ApplicationCable
  class Connection < ActionCable::Connection::Base
    identified_by :current_user

    def connect
      self.current_user = request.params["user"] || "somebody"
    end
  end

  class Channel < ActionCable::Channel::Base
  end
end

class ChatChannel < ApplicationCable::Channel
  def subscribed
    stream_from "chat_#{params[:room]}"
  end

  def speak(data)
    ActionCable.server.broadcast("chat_#{params[:room]}", { message: data["message"] })
  end
end

ActionCable.server.config.tap do |config|
  config.logger = Logger.new($stderr, level: Logger::WARN)
  config.cable = { "adapter" => "async" }
  config.connection_class = -> { ApplicationCable::Connection }
  config.disable_request_forgery_protection = true
end

run ActionCable.server
