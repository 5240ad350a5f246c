return await Ka.Agent.AgentHost.Run(args, CancellationToken.None);
