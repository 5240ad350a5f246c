using System.Text.Json;
using System.Text.Json.Serialization;

namespace Ka.Store;

/// <summary>JSON of stored documents; what was written by an older version must stay readable.</summary>
static class StoreJson
{
    public static readonly JsonSerializerOptions Options = new(JsonSerializerDefaults.Web)
    {
        Converters = { new JsonStringEnumConverter() },
        MaxDepth = 32,
    };
}
