return await Ka.Lab.Commands.Run(args);
