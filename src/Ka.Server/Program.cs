using Ka.Server.Hosting;

return await ServerCommands.RunAsync(args);
