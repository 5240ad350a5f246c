using Ka.Server.Hosting;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Logging;

namespace Ka.Tests.Server;

/// <summary>A web server of a test: it logs nothing, and watches none of the files below the working directory, where images may be built meanwhile.</summary>
static class QuietSite
{
    public static WebApplicationBuilder Builder()
    {
        var builder = WebApplication.CreateSlimBuilder([ServerApp.NothingWatched]);
        builder.Logging.ClearProviders();
        return builder;
    }
}
