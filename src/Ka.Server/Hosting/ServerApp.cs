using System.Net;
using System.Threading.Channels;
using Ka.Boot;
using Ka.Boot.Http;
using Ka.Broadcast;
using Ka.Broadcast.Torrent;
using Ka.Core.Rights;
using Ka.Drivers.Consoles;
using Ka.Drivers.Power;
using Ka.Server.Agents;
using Ka.Server.Api;
using Ka.Server.Boot;
using Ka.Server.Configuration;
using Ka.Server.Consoles;
using Ka.Server.Environments;
using Ka.Server.Identity;
using Ka.Server.Telemetry;
using Ka.Server.Workflows;
using Ka.Store;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;

namespace Ka.Server.Hosting;

/// <summary>Puts the server together: the only place that knows everybody.</summary>
public static class ServerApp
{
    /// <summary>So long a server that stops waits for requests; then it breaks off what is left: uploads go on after the next start.</summary>
    static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(5);

    /// <summary>The site's file is read at the start. The framework would watch for files of its own, with every directory below the program's.</summary>
    public const string NothingWatched = "--hostBuilder:reloadConfigOnChange=false";

    /// <exception cref="IOException">A listener, the state directory or the database cannot be opened.</exception>
    public static WebApplication Build(SiteConfiguration configuration, bool withNetworkBoot = true)
    {
        var site = new Site(configuration);
        var secrets = ServerSecrets.Open(configuration.StateDirectory);
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory, EnvironmentName = "Production", Args = [NothingWatched] });
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel => Listen(kestrel, configuration, secrets));
        builder.Logging.ClearProviders().AddSimpleConsole(console =>
        {
            console.SingleLine = true;
            console.TimestampFormat = "HH:mm:ss.fff ";
            console.UseUtcTimestamp = true;
        });
        builder.Logging.SetMinimumLevel(LogLevel.Information).AddFilter("Microsoft", LogLevel.Warning);
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = StopPatience);
        AddParts(builder.Services, site, secrets, configuration);
        builder.Services.AddOpenApi("v1", ApiDocument.Describe);
        builder.Services.ConfigureHttpJsonOptions(json => json.SerializerOptions.TypeInfoResolverChain.Insert(0, Ka.Protocol.Rest.RestJson.Default));
        // What cannot be bound is said as a problem like everything else.
        builder.Services.Configure<RouteHandlerOptions>(options => options.ThrowOnBadRequest = true);
        var app = builder.Build();
        // Whoever writes into a full store needs it.
        app.Services.GetRequiredService<StoreCollection>();
        app.UseWebSockets(new WebSocketOptions { KeepAliveInterval = TimeSpan.FromSeconds(5), KeepAliveTimeout = TimeSpan.FromSeconds(20) });
        app.UseRouting();
        app.UseMiddleware<UnexpectedExceptions>();
        app.UseAccess(app.Services.GetRequiredService<Authentication>());
        ApiDocument.UsePages(app);
        MapUsers(app);
        AgentRoutes.Map(app);
        TrackerRoutes.Map(app);
        app.MapGroup("").Needs(Audience.BootingNodes, Right.None).MapBoot(app.Services.GetRequiredService<BootServer>());
        app.Lifetime.ApplicationStarted.Register(() => OpenSockets(configuration));
        // Before the listeners wait for their requests to end: a console's request ends with its seat.
        app.Lifetime.ApplicationStopping.Register(app.Services.GetRequiredService<ConsoleDesk>().Dispose);
        if (withNetworkBoot && configuration.Boot is { Interface: not null } and not { Dhcp: DhcpMode.Off, Tftp: false })
            app.Services.GetRequiredService<BootServer>().Start();
        return app;
    }

    public static void MapUsers(IEndpointRouteBuilder app)
    {
        Deployments.Map(app);
        Reboots.Map(app);
        Powers.Map(app);
        Api.Consoles.Map(app);
        Operations.Map(app);
        Retries.Map(app);
        NodeUse.Map(app);
        Stats.Map(app);
        Metrics.Map(app);
        Api.Environments.Map(app);
        Uploads.Map(app);
        Catalogue.Map(app);
        Imports.Map(app);
        Stores.Map(app);
        Nodes.Map(app);
        NodeChecks.Map(app);
        ChassisLights.Map(app);
        UnknownMachines.Map(app);
        AgentProgram.Map(app);
        Rights.Map(app);
        Tokens.Map(app);
        Meta.Map(app);
        SignIns.Map(app);
        app.MapOpenApi("/openapi/{documentName}.json").Needs(Audience.Users, Right.None);
    }

    static void AddParts(IServiceCollection services, Site site, ServerSecrets secrets, SiteConfiguration configuration)
    {
        services.AddSingleton(site).AddSingleton(secrets).AddSingleton(TimeProvider.System);
        services.AddSingleton(_ => new Database(Path.Combine(configuration.StateDirectory, "ka.db")));
        services.AddSingleton<Journal>().AddSingleton<WorkflowTable>().AddSingleton<NodeTable>().AddSingleton<LogTable>().AddSingleton<RunTable>().AddSingleton<AnswerTable>().AddSingleton<OnceByKey>().AddSingleton<OutOfUseTable>().AddSingleton<EnvironmentCatalogue>();
        services.AddSingleton(_ => new FileStore(Path.Combine(configuration.StateDirectory, "files"), configuration.StoreLimit));
        services.AddSingleton<FileOrigins>().AddSingleton<FileRights>().AddSingleton<FileParts>().AddSingleton<StoreCollection>().AddSingleton(s => new HttpSources(configuration.Sources, s.GetRequiredService<FileStore>()));
        services.AddSingleton(_ => new SiteKeys(configuration.StateDirectory));
        services.AddSingleton<AgentHub>().AddSingleton<NodeBoots>().AddSingleton<BootDirectory>();
        services.AddSingleton(Channel.CreateBounded<BootEvent>(new BoundedChannelOptions(4096) { SingleReader = true, FullMode = BoundedChannelFullMode.DropOldest }));
        services.AddSingleton(s => new BootServer(
            BootSettingsOf(configuration), s.GetRequiredService<BootDirectory>(), s.GetRequiredService<Channel<BootEvent>>().Writer, TimeProvider.System));
        services.AddSingleton(_ => new ChainSource(configuration.Nodes.Address, configuration.Nodes.Chain, ChainOptions.Default));
        services.AddSingleton<LightTimers>().AddSingleton<UnknownMachineList>().AddSingleton<SiteSystems>().AddSingleton(s => PowerDrivers.Of(s.GetRequiredService<TimeProvider>(), s.GetRequiredService<SiteSystems>().RunAsync));
        services.AddSingleton<TorrentTools>().AddSingleton(_ => new TorrentSource(
            configuration.Nodes.Address, configuration.Nodes.Torrent, new Uri($"http://{configuration.Nodes.Address}:{configuration.Nodes.Http}{TrackerRoutes.Path}"), TimeProvider.System));
        services.AddSingleton(s => new WorkflowResources(
            s.GetRequiredService<AgentHub>(), s.GetRequiredService<NodeBoots>(), s.GetRequiredService<BootDirectory>(), site, s.GetRequiredService<SiteKeys>(), s.GetRequiredService<ChainSource>(), configuration.Nodes.Address,
            s.GetRequiredService<FileStore>(), secrets, s.GetRequiredService<Journal>(), s.GetRequiredService<WorkflowTable>(), s.GetRequiredService<NodeTable>(),
            s.GetRequiredService<LogTable>(), s.GetRequiredService<RunTable>(), s.GetRequiredService<OutOfUseTable>(), s.GetRequiredService<TorrentSource>(), s.GetRequiredService<TorrentTools>(), s.GetRequiredService<PowerDrivers>(), TimeProvider.System));
        services.AddSingleton<OperationTraces>().AddHostedService(s => s.GetRequiredService<OperationTraces>());
        services.AddSingleton<EndHooks>().AddHostedService(s => s.GetRequiredService<EndHooks>());
        services.AddSingleton<Acceptance>().AddSingleton<AlreadyDeployed>().AddSingleton<WorkflowHost>().AddHostedService(s => s.GetRequiredService<WorkflowHost>());
        AddIdentity(services, configuration);
        services.AddHostedService<BootWatch>();
    }

    static void AddIdentity(IServiceCollection services, SiteConfiguration configuration)
    {
        services.AddSingleton(configuration.Auth).AddSingleton<GrantTable>().AddSingleton<TokenTable>().AddSingleton<SignInTable>().AddSingleton<Accounts>().AddSingleton<Authentication>().AddSingleton<NodeRights>();
        services.AddSingleton(s => new RightsWatch(
            s.GetRequiredService<NodeRights>(), s.GetRequiredService<Authentication>(), () => s.GetRequiredService<WorkflowHost>().Running, s.GetRequiredService<WorkflowHost>().Cancel,
            s.GetRequiredService<TimeProvider>(), s.GetRequiredService<ILogger<RightsWatch>>()));
        services.AddHostedService<RightsWatching>();
        services.AddSingleton(s => new ConsoleDesk(
            ConsoleProgram.OpenAsync, (caller, node) => Api.Consoles.Refusal(s.GetRequiredService<NodeRights>(), s.GetRequiredService<Authentication>(), caller, node),
            Path.Combine(configuration.StateDirectory, "consoles"), s.GetRequiredService<TimeProvider>(), s.GetRequiredService<ILogger<ConsoleDesk>>()));
        services.AddHostedService<ConsoleWatching>();
    }

    static Ka.Boot.BootSettings BootSettingsOf(SiteConfiguration configuration)
    {
        var boot = configuration.Boot;
        var nodes = configuration.Nodes;
        var mask = boot.PrefixLength == 0 ? 0 : uint.MaxValue << (32 - boot.PrefixLength);
        var network = BitConverter.ToUInt32(boot.Network.GetAddressBytes().Reverse().ToArray()) & mask;
        var prefix = new IPAddress(BitConverter.GetBytes(network).Reverse().ToArray());
        return new Ka.Boot.BootSettings(
            boot.Interface ?? "", nodes.Address, new Uri($"http://{nodes.Address}:{nodes.Http}/"),
            [new BootNetwork(new IPNetwork(prefix, boot.PrefixLength), boot.Router, boot.NameServers, null)])
        {
            Mode = boot.Dhcp,
            SecureBoot = configuration.AllNodes.Any(n => n.Node.SecureBoot),
            LoaderDirectory = BootLoaders.Prepare(boot.Loaders, configuration.Minimal.Directory, Path.Combine(configuration.StateDirectory, "loaders")),
            UefiDiskLoader = File.Exists(Path.Combine(configuration.Minimal.Directory, BootLoaders.UefiDisk)) ? BootLoaders.UefiDisk : null,
        };
    }

    static void Listen(KestrelServerOptions kestrel, SiteConfiguration configuration, ServerSecrets secrets)
    {
        kestrel.Limits.MaxConcurrentConnections = 20_000;
        kestrel.Limits.MaxRequestBodySize = FileStore.SizeLimit;
        kestrel.Limits.MinRequestBodyDataRate = null;
        System.Security.Cryptography.X509Certificates.X509Certificate2? certificate = null;
        foreach (var user in configuration.Users)
        {
            if (user.SocketPath is { } path)
            {
                Directory.CreateDirectory(Path.GetDirectoryName(path)!);
                File.Delete(path);
                kestrel.ListenUnixSocket(path, PeerCredentials.On);
            }
            else
                kestrel.Listen(user.EndPoint!, listen => listen.UseHttps(certificate ??= UserCertificate.Open(configuration, DateTimeOffset.UtcNow), https =>
                {
                    // Whose it is, and whether it is taken, is found where its holder can be told why not.
                    https.ClientCertificateMode = configuration.Auth.Authority is null ? ClientCertificateMode.NoCertificate : ClientCertificateMode.AllowCertificate;
                    https.AllowAnyClientCertificate();
                }));
        }
        var nodes = configuration.Nodes;
        kestrel.Listen(nodes.Address, nodes.Http, listen => Serve(listen, Audience.BootingNodes));
        kestrel.Listen(nodes.Address, nodes.Agent, listen =>
        {
            Serve(listen, Audience.Agents);
            listen.UseHttps(secrets.Certificate);
        });
    }

    /// <summary>Whoever is on this machine may connect: the kernel says who it is.</summary>
    static void OpenSockets(SiteConfiguration configuration)
    {
        foreach (var path in configuration.Users.Select(u => u.SocketPath).OfType<string>())
            File.SetUnixFileMode(path, (UnixFileMode)0b110_110_110);
    }

    static void Serve(ListenOptions listen, Audience audience)
    {
        listen.Protocols = HttpProtocols.Http1;
        listen.Use(next => connection =>
        {
            connection.Features.Set(new ListenerOf(audience));
            return next(connection);
        });
    }
}
